"""How fast features come from disk, against making them again.

Serves random micro-batches of 32 windows of real questions through ``collate``, and times a second run's start.
Run from the checkout, with the real data and the real tokenizer beside it: ``python -m tests.benchmarks.tokenised DATA
MODEL [--copies N]`` (DATA a mirror, MODEL a model folder; N copies of SQuAD's rows make a data set of full size).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from transformers import AutoTokenizer

from xsweep.store import files
from xsweep.tasks.catalog import CATALOG
from xsweep.tasks.examples import load_split
from xsweep.tasks.formats import FORMATS
from xsweep.tasks.source import Sources
from xsweep.train.batches import collate
from xsweep.train.tokenised import Entry, Tokenised

ROWS, SECONDS = 32, 5.0


def served(entry: Entry) -> float:
    """Windows a second through ``collate``, in random micro-batches."""
    rng, device, count = np.random.default_rng(0), torch.device("cpu"), 0
    start = time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        collate(entry.features, rng.integers(len(entry.features), size=ROWS), device)
        count += ROWS
    return count / (time.perf_counter() - start)


def main() -> None:
    """Print rates and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--copies", type=int, default=1)
    options = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    with tempfile.TemporaryDirectory() as folder:
        task = CATALOG["squad_v1"]
        rows = load_split(task, "train", Sources((options.data,), Path(folder))).examples
        examples = [replace(row, id=n * len(rows) + row.id) for n in range(options.copies) for row in rows]
        start = time.perf_counter()
        entry = Entry(FORMATS["span"].encode(examples, task, tokenizer), len(examples), {})
        making = time.perf_counter() - start
        start = time.perf_counter()
        Tokenised(Path(folder)).get("key", lambda: entry)
        print(f"{len(examples):,} questions, {len(entry.features):,} windows, {entry.features.ids.size:,} tokens")
        print(f"tokenised in {making:.1f} s; written and checked in {time.perf_counter() - start:.2f} s")
        files._remembered.cache_clear()  # a second run has read no file before
        start = time.perf_counter()
        found = Tokenised(Path(folder)).find("key")
        assert found is not None
        print(f"found by a second run in {time.perf_counter() - start:.2f} s")
        memory, disk, made = served(entry), served(found), len(entry.features) / making
        print(f"served: {disk:,.0f} windows/s from disk, {memory:,.0f} from memory; tokenised again: {made:,.0f}")
        print(f"ratio of serving to tokenising again: {disk / made:.1f}")


if __name__ == "__main__":
    main()
