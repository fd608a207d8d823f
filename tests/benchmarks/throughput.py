"""How fast stages train, against ``Trainer``: the same rows, the same weights, and where it can be the same batches.

Every variant is run in turn, several times over; a line gives medians. Batches of ``xsweep`` and of ``Trainer`` padded
to the longest or to a fixed length are identical, and so must their losses be; ``group_by_length`` makes its own.
``ceiling`` is what padding costs those batches in arithmetic, so that nothing without padding can be faster by more.
Real XNLI and SQuAD rows; ``equal`` are XNLI's cut to one length, where the ratio must be near 1.

On a CPU: process time of one thread, fp32, a small encoder, and all of ``Trainer``'s variants train a trimmed word
table too, so that padding alone is compared; ``trim`` compares the tables, on the shape of XLM-R base. On a GPU: wall
time, bf16, random weights in the shapes of XLM-R, real batches of 128 with all levers on, and the best-tuned
``Trainer`` (bf16, fused AdamW, compiled, four loader workers, grouped by length) with none of ours; of XXL the steps
of adapters alone.

Needs ``accelerate`` (the dependency group ``bench``). Run from the checkout: ``python -m tests.benchmarks.throughput
DATA MODEL [--shape S ...] [--rows R ...]`` (DATA a mirror, MODEL a folder with XLM-R's tokenizer).
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from xsweep.models.folder import count_params, model_print
from xsweep.models.heads import Network, make_head, span_losses
from xsweep.models.load import head_settings, load_encoder, word_table
from xsweep.models.model import Model
from xsweep.plan.stage import Hyper, Job, Stage
from xsweep.spec.sweep import Layout, Training
from xsweep.tasks.catalog import CATALOG
from xsweep.tasks.examples import fingerprint
from xsweep.tasks.features import Features
from xsweep.tasks.formats import FORMATS
from xsweep.tasks.source import Sources
from xsweep.tasks.task import Data, Task
from xsweep.train import live
from xsweep.train.batches import Rows, epoch_batches
from xsweep.train.data import Reader
from xsweep.train.loop import Progress
from xsweep.train.seeds import derive
from xsweep.train.stage import Context, run_job
from xsweep.train.trim import trimmed
from xsweep.train.world import World


@dataclass(frozen=True)
class Shape:
    """An encoder's."""

    model_type: str
    layers: int
    width: int
    heads: int
    lora: bool = False
    """Whether adapters alone are trained, since all of it would need many GPUs; no ``Trainer`` is run beside it."""


SHAPES: Mapping[str, Shape] = {
    "tiny": Shape("xlm-roberta", 2, 64, 2),
    "tiny-lora": Shape("xlm-roberta-xl", 2, 64, 2, lora=True),
    "small": Shape("xlm-roberta", 4, 256, 4),
    "base": Shape("xlm-roberta", 12, 768, 12),
    "large": Shape("xlm-roberta", 24, 1024, 16),
    "xl": Shape("xlm-roberta-xl", 36, 2560, 32),
    "xxl": Shape("xlm-roberta-xl", 48, 4096, 32, lora=True),
}
PEAK = 989e12
"""bf16 FLOP/s of an H100 or H200, as its vendor states them for dense products."""
SEED, LR = 1, 1e-4


@dataclass(frozen=True)
class Case:
    """A model folder, and rows for some steps of one batch size."""

    folder: Path
    sources: Sources
    task: Task
    batch: int
    steps: int
    gpu: bool

    @property
    def shape(self) -> Shape:
        """The model's."""
        return SHAPES[self.folder.name]

    @property
    def stage(self) -> Stage:
        """One epoch without dropout; it is scored on a few rows, outside the time."""
        model = Model(name=self.folder.name, path=str(self.folder))
        parts = ("train", "selection")
        training: dict[str, Any] = {"batch_size": self.batch, "warmup": 0.0, "dropout": 0.0}
        training |= {"precision": "bf16" if self.gpu else "fp32"}
        training |= {"lora": {"rank": 16, "alpha": 32}} if self.shape.lora else {}
        return Stage(
            kind="target",
            model=model,
            model_print=model_print(model, self.sources),
            tasks=(self.task,),
            prints={f"{part}/{self.task.name}": fingerprint(self.task, part, self.sources) for part in parts},  # type: ignore[arg-type]
            training=Training.model_validate(training),
            seed=SEED,
            hyper=Hyper(LR, 1),
            examples=self.batch * self.steps,
            score_examples=8,
        )

    def features(self, times: int = 1) -> Features:
        """The rows as they are trained on, or of as many ``times`` the examples."""
        base = live.live(self.folder, self.stage.model_print, self.stage.training, World.single())
        reader = Reader(self.sources, base.tokenizer, base.tokenizer_print, self.stage.prints)
        return reader.part((self.task,), "train", times * self.batch * self.steps).features


@dataclass
class Run:
    """What one run showed, its first step left out, in which much is made once."""

    seconds: float
    tokens: int
    losses: list[float]
    peak: int | None
    """Bytes of GPU memory at most."""


@dataclass
class Clock:
    """Marks the ends of steps."""

    gpu: bool
    marks: list[float] = field(default_factory=list)

    def mark(self) -> None:
        """A step has ended."""
        if self.gpu:
            torch.cuda.synchronize()
        self.marks.append(time.perf_counter() if self.gpu else time.process_time())

    @property
    def seconds(self) -> float:
        """From the end of the first step to that of the last."""
        return self.marks[-1] - self.marks[0]


def ours(case: Case, table: Callable[..., AbstractContextManager[None]] = trimmed) -> Run:
    """A stage as a sweep runs it, in a store of its own."""
    clock, losses, tokens = Clock(case.gpu), list[float](), list[int]()

    def step(progress: Progress) -> None:
        clock.mark()
        losses.append(progress.loss)
        tokens.append(progress.tokens)

    layout = Layout(cpus=1, tokens=16384 if case.gpu else 4096, checkpoint_seconds=1e9)
    with tempfile.TemporaryDirectory() as store, patch("xsweep.train.stage.trimmed", table), _peak(case.gpu) as peak:
        run_job(Job((case.stage,), layout=layout), Context(Path(store), case.sources), World.single(), step)
    return Run(clock.seconds, tokens[-1] - tokens[0], losses, *peak)


@dataclass(frozen=True)
class Theirs:
    """One way to set ``Trainer`` up."""

    pad_to: int | None = None
    grouped: bool = False
    tuned: bool = False


def theirs(case: Case, how: Theirs, features: Features, special: Sequence[int]) -> Run:
    """The same rows through ``Trainer``."""
    stage, clock = case.stage, Clock(case.gpu)
    encoder = load_encoder(case.folder, 0.0)
    dropout, std = head_settings(encoder)
    seed = derive(SEED, "head", case.task.format)
    shape = (word_table(encoder), FORMATS[case.task.format].outputs(case.task))
    head = make_head(case.task.format, *shape, dropout=dropout, pooling="first", std=std, seed=seed)
    model = _Plain(Network(encoder, head))
    options: dict[str, Any] = {}
    if how.tuned:
        options |= {"bf16": True, "torch_compile": True, "dataloader_num_workers": 4}
    if how.grouped:
        options["train_sampling_strategy"] = "group_by_length"
    with tempfile.TemporaryDirectory() as out:
        arguments = TrainingArguments(
            out,
            per_device_train_batch_size=case.batch,
            max_steps=-(-len(case.features()) // case.batch),
            learning_rate=LR,
            weight_decay=stage.training.weight_decay,
            max_grad_norm=stage.training.clip,
            use_cpu=not case.gpu,
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            remove_unused_columns=False,
            **options,
        )
        trainer = _Trainer(
            model,
            arguments,
            data_collator=_Collator(features, how.pad_to),
            train_dataset=[{"row": i, "input_ids": features.ids[features.span(i)]} for i in range(len(features))],
            callbacks=[_Marks(clock)],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.order = None if how.grouped else np.concatenate(epoch_batches(len(features), case.batch, SEED, 1))
        own = nullcontext() if case.gpu else trimmed(model.network, [features], special, World.single())
        with own, _peak(case.gpu) as peak:
            trainer.train()
    tokens = sum(int(count) for count in model.tokens[1:])
    return Run(clock.seconds, tokens, [float(loss) for loss in model.losses], *peak)


class _Plain(nn.Module):
    """The network as ``Trainer`` calls a model: padded, as the model classes of ``transformers`` are.

    The loss of spans is the masked one: theirs takes padding for possible answers, so that it depends on the batch.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network, self.losses, self.tokens = network, list[Tensor](), list[Tensor]()

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, targets: Tensor, allowed: Tensor | None = None
    ) -> dict[str, Tensor]:
        head: Any = self.network.head
        hidden = self.network.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        if allowed is not None:
            loss = span_losses(head.out(hidden).float(), targets, allowed).mean()
        else:
            logits = head.out(torch.tanh(head.dense(hidden[:, 0])))
            loss = nn.functional.cross_entropy(logits.float(), targets)
        return {"loss": loss}


class _Trainer(Trainer):
    order: Rows | None = None

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return super()._get_train_sampler(train_dataset) if self.order is None else self.order.tolist()

    def compute_loss(self, model: Any, inputs: Any, *given: Any, **named: Any) -> Any:
        plain: Any = self.model
        plain.tokens.append(inputs["attention_mask"].sum())
        loss: Any = super().compute_loss(model, inputs, *given, **named)
        plain.losses.append(loss.detach())
        return loss


class _Marks(TrainerCallback):
    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self._clock.mark()


@dataclass(frozen=True)
class _Collator:
    features: Features
    pad_to: int | None

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        chosen = np.array([row["row"] for row in rows])
        width = self.pad_to or int(self.features.lengths[chosen].max())
        ids, mask = np.ones((2, len(rows), width), dtype=np.int64) * np.array([1, 0])[:, None, None]
        for place, row in enumerate(rows):
            own = row["input_ids"]
            ids[place, : len(own)], mask[place, : len(own)] = own, 1
        found = {"input_ids": ids, "attention_mask": mask, "targets": self.features.targets[chosen].astype(np.int64)}
        if self.features.allowed is not None:
            found["allowed"] = self.features.allowed[chosen].astype(np.int64)
        return {name: torch.from_numpy(value) for name, value in found.items()}


@contextmanager
def _peak(gpu: bool) -> Iterator[list[int | None]]:
    """The most memory of the GPU that was held within, in a list of one."""
    found: list[int | None] = [None]
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    yield found
    if gpu:
        found[0] = torch.cuda.max_memory_allocated()


@contextmanager
def _whole(*_: Any) -> Iterator[None]:
    """In place of ``trimmed``: all of the table is trained."""
    yield


def padding(case: Case, trunk: int) -> dict[str, float]:
    """What padding to the longest costs the batches timed: in tokens, and in arithmetic with that of attention."""
    each = 4 * case.shape.width * case.shape.layers
    lengths = case.features().lengths
    cost = np.zeros((2, 2))
    for rows in epoch_batches(len(lengths), case.batch, SEED, 1)[1:]:
        real, padded = lengths[rows], np.full(len(rows), lengths[rows].max())
        cost += [[part.sum(), 2 * trunk * part.sum() + each * (part**2).sum()] for part in (padded, real)]
    tokens, arithmetic = cost[0] / cost[1]
    return {"padded_to_real": float(tokens), "ceiling": float(arithmetic)}


def compare(case: Case, repeats: int) -> dict[str, Any]:
    """All variants, in turn."""
    trunk = count_params(case.folder)["trunk"]
    # To group by length takes many rows to group.
    rows = {False: case.features(), True: case.features(50)}
    special = AutoTokenizer.from_pretrained(case.folder).all_special_ids
    ways: dict[str, Callable[[], Run]] = {"xsweep": lambda: ours(case)}
    setups = {"longest": Theirs(), "max": Theirs(pad_to=case.task.max_length), "grouped": Theirs(grouped=True)}
    if case.gpu:
        setups = {"longest": Theirs(), "tuned": Theirs(grouped=True, tuned=True)}
    if case.shape.lora:
        setups = {}
    for name, how in setups.items():
        ways[name] = lambda how=how: theirs(case, how, rows[how.grouped], special)  # type: ignore[misc]
    runs: dict[str, list[Run]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            runs[name].append(way())
    same = [name for name in ("longest", "max") if name in runs and not case.gpu]
    apart = [
        max(abs(a - b) for a, b in zip(runs["xsweep"][0].losses, runs[name][0].losses, strict=True)) for name in same
    ]
    cost = padding(case, trunk)
    # By real token, since batches by length leave another one out of the time.
    each = {name: _median(found) / found[0].tokens for name, found in runs.items()}
    ratios = {name: value / each["xsweep"] for name, value in each.items()}
    return {
        **cost,
        "share": ratios["longest"] / cost["ceiling"] if "longest" in ratios else None,
        "loss_apart": max(apart, default=None),
        "steps": len(runs["xsweep"][0].losses),
        "variants": {name: {"ratio": ratios[name], **_rates(found, case, trunk)} for name, found in runs.items()},
    }


def trimming(case: Case, repeats: int) -> dict[str, Any]:
    """A stage with the rows of the word table that occur, against the same with all of it."""
    ways = {"xsweep": trimmed, "whole table": _whole}
    runs: dict[str, list[Run]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, table in ways.items():
            runs[name].append(ours(case, table))
    trunk, least = count_params(case.folder)["trunk"], _median(runs["xsweep"])
    apart = max(abs(a - b) for a, b in zip(*(found[0].losses for found in runs.values()), strict=True))
    variants = {name: {"ratio": _median(found) / least, **_rates(found, case, trunk)} for name, found in runs.items()}
    return {"loss_apart": apart, "steps": len(runs["xsweep"][0].losses), "variants": variants}


def _median(runs: Sequence[Run]) -> float:
    return statistics.median(run.seconds for run in runs)


def _rates(runs: Sequence[Run], case: Case, trunk: int) -> dict[str, Any]:
    """Real tokens a second, and on a GPU the share of its peak that trunk and real tokens take, and memory."""
    rate = runs[0].tokens / _median(runs)
    found: dict[str, Any] = {"seconds": _median(runs), "tokens_per_second": rate}
    if case.gpu:
        # Weights that are frozen have no gradient to be computed.
        found |= {
            "mfu": (4 if case.shape.lora else 6) * trunk * rate / PEAK,
            "peak_bytes": max(run.peak or 0 for run in runs),
        }
    return found


def write_folder(shape: str, tokenizer: Path, place: Path) -> Path:
    """A model folder of random weights."""
    given, words = SHAPES[shape], AutoTokenizer.from_pretrained(tokenizer)
    sizes = {"hidden_size": given.width, "num_hidden_layers": given.layers, "intermediate_size": 4 * given.width}
    sizes |= {"num_attention_heads": given.heads, "vocab_size": len(words), "max_position_embeddings": 514}
    config = AutoConfig.for_model(given.model_type, **sizes, pad_token_id=words.pad_token_id, layer_norm_eps=1e-5)
    torch.manual_seed(SEED)
    dtype = torch.bfloat16 if torch.cuda.is_available() else torch.float32
    AutoModel.from_config(config, dtype=dtype).save_pretrained(place / shape)  # type: ignore[no-untyped-call]
    words.save_pretrained(place / shape)
    return place / shape


def tasks() -> dict[str, Task]:
    """What is trained on, by name."""
    xnli, squad = CATALOG["xnli"], CATALOG["squad_v1"]
    here = (Data(dataset="facebook/xnli", config="en", split="validation"),)
    nli = xnli.model_copy(update={"train": here, "selection": here})
    return {
        "xnli": nli,
        "squad": squad.model_copy(update={"selection": squad.train}),
        "equal": nli.model_copy(update={"max_length": 16}),
    }


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Print a table, and everything in one line of JSON after it."""
    gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument(
        "--shape", nargs="+", choices=SHAPES, default=["base", "large", "xl", "xxl"] if gpu else ["small"]
    )
    parser.add_argument("--rows", nargs="+", default=["xnli"] if gpu else ["xnli", "squad", "equal"])
    parser.add_argument("--batch", type=int, default=128 if gpu else 0, help="32, of SQuAD 16, when 0")
    parser.add_argument("--steps", type=int, default=16 if gpu else 6)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args(arguments)
    if not gpu:
        torch.set_num_threads(1)
    answer: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        sources = Sources((given.data,), Path(place) / "cache")
        for shape in given.shape:
            folder = write_folder(shape, given.model, Path(place))
            for name in given.rows:
                trim = name == "trim"
                batch = given.batch or (8 if trim else 16 if name == "squad" else 32)
                case = Case(folder, sources, tasks()["xnli" if trim else name], batch, given.steps, gpu)
                found = (trimming if trim else compare)(case, given.repeats)
                answer[f"{shape} {name}"] = found
                _print(f"{shape} {name}, batches of {batch}", found)
            live._LIVE.clear()
    print(json.dumps(answer))
    return answer


def _print(title: str, found: Mapping[str, Any]) -> None:
    told = ", ".join(f"{name} {value:.3g}" for name, value in found.items() if isinstance(value, float))
    print(f"\n{title}: {found['steps']} steps; {told}")
    for name, line in found["variants"].items():
        print(f"  {name:12}" + "".join(f"  {key} {value:,.4g}" for key, value in line.items()), flush=True)


if __name__ == "__main__":
    main()
