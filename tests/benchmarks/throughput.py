"""How fast stages train, against ``Trainer``: the same rows, the same weights, and where it can be the same batches.

Every variant is run in turn, several times over; a line gives medians. Batches of ``xsweep``, of ``loop`` and of
``Trainer`` padded to the longest or to a fixed length are identical, and so must their losses be; ``group_by_length``
makes its own. ``loop`` is ``longest`` without ``Trainer``: what it gains on that is no gain over padding.
``ceiling`` is what padding costs those batches in arithmetic. Attention has more than its arithmetic to do with each
pair of tokens (a mask, a softmax), so that a ratio may lie a little above, but never above ``pairs``, what padding
costs in pairs alone. Real SNLI, XNLI and SQuAD rows; ``equal`` are XNLI's cut to one length, where the ratio must be
near 1. ``losses`` are a hundred steps of XNLI and SQuAD, whose losses are compared one by one, and not timed.

On a CPU: process time of one thread, fp32, a small encoder, and all of ``Trainer``'s variants train a trimmed word
table too, so that padding alone is compared; ``trim`` compares the tables, on the shape of XLM-R base. On a GPU: wall
time, bf16, random weights in the shapes of XLM-R, real batches of 128 with all levers on, the same with layers compiled
and with the dropout in attention of published models (for which the GPU has no kernel without padding), and the
best-tuned ``Trainer`` (bf16, fused AdamW, compiled, four loader workers, grouped by length) with none of ours; of XXL
the steps of adapters alone. What fails is told in its line and ends no other.

``peak_bytes`` are the most that is held at once: on a GPU what PyTorch allocated, on a CPU parameters, gradients,
moments and what a pass keeps for its way back. ``planned`` is what ``xsweep plan`` counts for it with the words that
occur, before its allowances for fragmentation and the device's own.

Needs ``accelerate`` (the dependency group ``bench``). Run from the checkout: ``python -m tests.benchmarks.throughput
DATA MODEL [--rows SHAPE:ROWS ...]`` (DATA a mirror, MODEL a folder with XLM-R's tokenizer).
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor
from transformers import AutoTokenizer

from tests.benchmarks.case import SEED, SHAPES, Case, Run, compiled, ours, tasks, whole, write_folder
from tests.benchmarks.opponents import Theirs, looped, theirs
from xsweep.models.folder import count_params, shape_of
from xsweep.models.model import Model
from xsweep.plan.memory import predicted
from xsweep.tasks.features import Features
from xsweep.tasks.source import Sources
from xsweep.train import live
from xsweep.train.batches import Micro, epoch_batches
from xsweep.train.optimizer import Optimizer
from xsweep.train.part import Part

PEAK = 989e12
"""bf16 FLOP/s of an H100 or H200, as its vendor states them for dense products."""
NAMES = ("snli", "xnli", "squad", "equal", "trim", "losses-xnli", "losses-squad")

Found = dict[str, Any]


def compare(case: Case, repeats: int) -> Found:
    """All variants, in turn."""
    # To group by length takes many rows to group.
    rows, many = case.features(), case.features(50)
    steps = -(-len(rows) // case.batch)
    ways: dict[str, Callable[[], Run]] = {"xsweep": lambda: ours(case)}
    if case.gpu:
        ways["compiled"] = lambda: ours(case, prepare=compiled)
        ways["dropout"] = lambda: ours(replace(case, dropout=None))
    if not case.shape.lora:
        ways["longest"] = lambda: theirs(case, Theirs(), rows, steps)
        ways["loop"] = lambda: looped(case, rows)
    if not case.shape.lora and case.gpu:
        ways["tuned"] = lambda: theirs(case, Theirs(grouped=True, tuned=True), many, steps)
    elif not case.shape.lora:
        ways["grouped"] = lambda: theirs(case, Theirs(grouped=True), many, steps)
        ways["max"] = lambda: theirs(case, Theirs(pad_to=case.task.max_length), rows, steps)
    runs, failed = _in_turn(ways, repeats)
    cost, trunk = padding(case, rows), count_params(case.folder)["trunk"]
    found: Found = {"steps": steps, **cost, "planned": _planned(case, rows)}
    ratios: dict[str, float] = {}
    if "xsweep" in runs:
        first = runs["xsweep"][0]
        found["peak_bytes"] = first.peak or held(case)
        found["planned_to_peak"] = found["planned"] / found["peak_bytes"]
        # By real token, since batches by length leave another one out of the time.
        each = {name: _median(of) / of[0].tokens for name, of in runs.items()}
        ratios = {name: value / each["xsweep"] for name, value in each.items()}
        if not case.gpu and "loop" in runs:
            found |= {"share": ratios["longest"] / cost["ceiling"], "share_of_loop": ratios["loop"] / cost["ceiling"]}
            found["loss_apart"] = max(_apart(first, runs[name][0]) for name in ("longest", "max", "loop"))
    lines = {name: {"ratio": ratios.get(name), **_rates(of, case, trunk)} for name, of in runs.items()}
    return {**found, "variants": lines | {name: {"failed": why} for name, why in failed.items()}}


def trimming(case: Case, repeats: int) -> Found:
    """A stage with the rows of the word table that occur, against the same with all of it."""
    ways = {"xsweep": lambda: ours(case), "whole table": lambda: ours(case, whole)}
    runs, _ = _in_turn(ways, repeats)
    trunk, least = count_params(case.folder)["trunk"], _median(runs["xsweep"])
    variants = {name: {"ratio": _median(found) / least, **_rates(found, case, trunk)} for name, found in runs.items()}
    apart = _apart(runs["xsweep"][0], runs["whole table"][0])
    return {"loss_apart": apart, "steps": case.steps, "variants": variants}


def losses(case: Case) -> Found:
    """The losses of every step, against those of ``Trainer`` padded to the longest, and which step differs most."""
    rows = case.features()
    first, second = ours(case), theirs(case, Theirs(), rows, -(-len(rows) // case.batch))
    apart = [abs(a - b) for a, b in zip(first.losses, second.losses, strict=True)]
    told = {"first": first.losses[0], "last": first.losses[-1]}
    return {"steps": len(apart), "loss_apart": max(apart), "apart_at": int(np.argmax(apart)) + 1, "variants": {}} | told


def held(case: Case) -> int:
    """Bytes of parameters, gradients and moments, and the most that a micro-batch keeps for its way back."""
    optimizers, kept, backward = list[Optimizer](), [0], Part._backward

    class Seen(Optimizer):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            optimizers.append(self)

    def watched(part: Part, micro: Micro, count: int) -> Tensor:
        own = {parameter.untyped_storage().data_ptr() for parameter in part._network.parameters()}
        storages: dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                storages[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = backward(part, micro, count)
        kept[0] = max(kept[0], sum(storages.values()))
        return loss

    with patch("xsweep.train.loop.Optimizer", Seen), patch.object(Part, "_backward", watched):
        ours(replace(case, steps=2))
    (optimizer,) = optimizers
    parameters: int = 2 * sum(parameter.nbytes for parameter in optimizer.parameters.values())
    states = optimizer._adam.state.values()
    moments: int = sum(state[name].nbytes for state in states for name in ("exp_avg", "exp_avg_sq"))
    return parameters + moments + kept[0]


def _planned(case: Case, features: Features) -> float:
    """What the planner counts where the words are those of ``features``, for the largest micro-batch of the steps."""
    params, shape = count_params(case.folder), shape_of(case.folder)
    words = np.union1d(features.ids, AutoTokenizer.from_pretrained(case.folder).all_special_ids)
    table = params["embedding"] if case.training.lora else len(words) * shape.width
    fields: dict[str, Any] = {"params": params["trunk"] + table, "embedding_params": table, "shape": shape}
    model = Model(name=case.folder.name, model_type=case.shape.model_type, **fields)
    batches = epoch_batches(len(features), case.batch, SEED, 1)
    tokens = min(case.tokens, max(int(features.lengths[rows].sum()) for rows in batches))
    found = predicted(model, case.training, workers=1, tokens=tokens, recompute=False)
    assert found is not None
    return found.state + found.gathered + found.activations


def padding(case: Case, features: Features) -> dict[str, float]:
    """What padding to the longest costs the batches timed: in tokens, in arithmetic, and in pairs of tokens."""
    each, trunk = 4 * case.shape.width * case.shape.layers, count_params(case.folder)["trunk"]
    cost = np.zeros((2, 2))
    for rows in epoch_batches(len(features), case.batch, SEED, 1)[case.skipped :]:
        real, padded = features.lengths[rows], np.full(len(rows), features.lengths[rows].max())
        cost += [[part.sum(), (part**2).sum()] for part in (padded, real)]
    tokens, pairs = cost[0] / cost[1]
    arithmetic = 2 * trunk * cost[:, 0] + each * cost[:, 1]
    return {"padded_to_real": float(tokens), "ceiling": float(arithmetic[0] / arithmetic[1]), "pairs": float(pairs)}


def _in_turn(ways: Mapping[str, Callable[[], Run]], repeats: int) -> tuple[dict[str, list[Run]], dict[str, str]]:
    """Every way so many times, one after the other, and why one failed, which is not tried again."""
    runs: dict[str, list[Run]] = {}
    failed: dict[str, str] = {}
    for _ in range(repeats):
        for name in [name for name in ways if name not in failed]:
            try:
                runs.setdefault(name, []).append(ways[name]())
            except Exception as error:  # another's result is worth having: memory ran out, a compiler gave up
                if not torch.cuda.is_available():
                    raise
                failed[name] = f"{type(error).__name__}: {error}".splitlines()[0]
                runs.pop(name, None)
            if torch.cuda.is_available():
                torch.compiler.reset()
    return runs, failed


def _apart(first: Run, second: Run) -> float:
    """The most that the losses of one step differ."""
    return max(abs(a - b) for a, b in zip(first.losses, second.losses, strict=True))


def _median(runs: Sequence[Run]) -> float:
    return statistics.median(run.seconds for run in runs)


def _rates(runs: Sequence[Run], case: Case, trunk: int) -> Found:
    """Real tokens a second, and on a GPU the share of its peak that trunk and real tokens take, and memory."""
    rate, times = runs[0].tokens / _median(runs), [run.seconds for run in runs]
    found: Found = {"seconds": _median(runs), "spread": max(times) / min(times), "tokens_per_second": rate}
    if case.gpu:
        # Weights that are frozen have no gradient to be computed.
        found |= {
            "mfu": (4 if case.shape.lora else 6) * trunk * rate / PEAK,
            "peak_bytes": max(run.peak or 0 for run in runs),
        }
    return found | {"attention": runs[0].attention}


def _measured(name: str, case: Case, repeats: int) -> Found:
    if name.startswith("losses"):
        return losses(case)
    return (trimming if name == "trim" else compare)(case, repeats)


def main(arguments: Sequence[str] | None = None) -> Found:
    """Print a table, and everything in one line of JSON after it."""
    gpu = torch.cuda.is_available()
    own = ["base:xnli", "large:xnli", "xl:xnli", "xxl:xnli"]
    if not gpu:
        timed = ("snli", "xnli", "squad", "equal")
        own = ["mini:losses-xnli", "mini:losses-squad", *(f"small:{name}" for name in timed), "base:trim"]
        torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--rows", nargs="+", default=own, metavar="SHAPE:ROWS", help=" ".join(own))
    parser.add_argument("--batch", type=int, default=128 if gpu else 0, help="32, of SQuAD 16, of trim 8, when 0")
    parser.add_argument("--steps", type=int, default=32 if gpu else 5)
    parser.add_argument("--repeats", type=int, default=3 if gpu else 5)
    given = parser.parse_args(arguments)
    wanted, answer = [tuple(row.partition(":")[::2]) for row in given.rows], dict[str, Any]()
    for shape, name in wanted:
        if shape not in SHAPES or name not in NAMES:
            parser.error(f"{shape}:{name}: a shape ({', '.join(SHAPES)}) and rows ({', '.join(NAMES)}) are asked for")
    for shape in dict.fromkeys(shape for shape, _ in wanted):
        with tempfile.TemporaryDirectory() as place:
            sources = Sources((given.data,), Path(place) / "cache")
            for name in (name for other, name in wanted if other == shape):
                answer[f"{shape} {name}"] = found = _row(shape, name, sources, Path(place), given)
                _print(f"{shape} {name}", found)
        live._LIVE.clear()
    print(json.dumps(answer))
    return answer


def _row(shape: str, name: str, sources: Sources, place: Path, given: argparse.Namespace) -> Found:
    gpu, rows = torch.cuda.is_available(), {"trim": "xnli"}.get(name, name.removeprefix("losses-"))
    batch = given.batch or (8 if name == "trim" else 16 if rows == "squad" else 32)
    steps = 100 if name.startswith("losses") else given.steps
    try:
        folder = place / shape if (place / shape).exists() else write_folder(shape, given.model, place)
        return _measured(name, Case(folder, sources, tasks()[rows], batch, steps, gpu), given.repeats)
    except Exception as error:  # what else was asked for is worth having
        if not gpu:
            raise
        return {"steps": 0, "variants": {}, "failed": f"{type(error).__name__}: {error}".splitlines()[0]}


def _print(title: str, found: Mapping[str, Any]) -> None:
    told = ", ".join(f"{name} {_shown(value)}" for name, value in found.items() if name != "variants")
    print(f"\n{title}: {told}", flush=True)
    for name, line in found["variants"].items():
        print(f"  {name:12}" + "".join(f"  {key} {_shown(value)}" for key, value in line.items()), flush=True)


def _shown(value: Any) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
