"""Scoring every language in one pass, against ``Trainer.predict`` language by language at batch 8.

The same network, the same rows, one core, interleaved repeats; predictions must be equal. Needs ``accelerate`` (the
dependency group ``bench``). Run from the checkout: ``python -m tests.benchmarks.predict DATA MODEL`` (DATA a mirror
with XNLI's test rows, MODEL a model folder).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

from xsweep.models.folder import count_params
from xsweep.models.heads import Network, make_head
from xsweep.models.load import load_encoder, load_tokenizer, word_table
from xsweep.tasks.catalog import CATALOG
from xsweep.tasks.examples import load_split, subset
from xsweep.tasks.features import Features
from xsweep.tasks.formats import FORMATS
from xsweep.tasks.source import Sources
from xsweep.train.batches import concat, price
from xsweep.train.predict import Setting, infer
from xsweep.train.world import World

LANGUAGES = ("ar", "de", "el", "en", "es", "fr", "hi", "ru", "th", "tr", "ur", "vi", "zh")
ROWS, REPEATS, TOKENS = 120, 3, 4096


class _Plain(nn.Module):
    """The network as ``Trainer`` calls a model."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        return {"logits": self.network(input_ids, attention_mask, None)}


def theirs(network: Network, rows: dict[str, Features], tokenizer: Any, folder: Path) -> np.ndarray[Any, Any]:
    """Logits by ``Trainer.predict``, one call a language."""
    options = TrainingArguments(
        str(folder), per_device_eval_batch_size=8, use_cpu=True, report_to=[], disable_tqdm=True
    )
    trainer = Trainer(_Plain(network), options, data_collator=DataCollatorWithPadding(tokenizer))
    found = []
    for features in rows.values():
        encoded = [{"input_ids": features.ids[features.span(i)].tolist()} for i in range(len(features))]
        for row in encoded:
            row["attention_mask"] = [1] * len(row["input_ids"])
        found.append(trainer.predict(encoded).predictions)  # type: ignore[arg-type]  # a list is a data set to it
    return np.concatenate(found)


def main() -> None:
    """Print medians, their ratio and how far the logits differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("model", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    task, tokenizer, encoder = CATALOG["xnli"], load_tokenizer(given.model), load_encoder(given.model, None)
    head = make_head("pair", word_table(encoder), 3, dropout=0.0, pooling="mean", std=0.1, seed=1)
    network = Network(encoder, head).eval()
    cost = price("cpu", count_params(given.model)["trunk"])
    setting = Setting(World.single(), TOKENS, int(tokenizer.pad_token_id or 0), cost)
    with tempfile.TemporaryDirectory() as folder:
        sources = Sources((given.data,), Path(folder))
        splits = {code: subset(load_split(task, "test", sources, code).examples, ROWS, 0) for code in LANGUAGES}
        rows = {code: FORMATS["pair"].encode(examples, task, tokenizer) for code, examples in splits.items()}
        seconds: dict[str, list[float]] = {"xsweep": [], "trainer": []}
        for _ in range(REPEATS):
            start = time.process_time()
            ours = np.stack(infer(network, concat(list(rows.values())), 3, setting).logits)
            middle = time.process_time()
            other = theirs(network, rows, tokenizer, Path(folder))
            seconds["xsweep"].append(middle - start)
            seconds["trainer"].append(time.process_time() - middle)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    equal = int((ours.argmax(1) == other.argmax(1)).sum())
    print(f"{len(ours):,} rows in {len(LANGUAGES)} languages, median CPU seconds of {REPEATS} interleaved repeats:")
    print(
        f"xsweep {median['xsweep']:.2f} ({TOKENS} tokens a batch), Trainer.predict at batch 8 {median['trainer']:.2f}"
    )
    print(f"ratio {median['trainer'] / median['xsweep']:.2f}")
    print(
        f"predictions equal: {equal:,} of {len(ours):,}; largest difference of logits {np.abs(ours - other).max():.1e}"
    )


if __name__ == "__main__":
    main()
