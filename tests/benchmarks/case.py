"""What the benchmark of training runs: a model of random weights, real rows, and a stage as a sweep runs it."""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer

from xsweep.models import attention
from xsweep.models.folder import model_print
from xsweep.models.load import layers, load_tokenizer, set_recompute
from xsweep.models.model import Model
from xsweep.plan.stage import Hyper, Job, Stage
from xsweep.spec.sweep import Layout, Training
from xsweep.tasks.catalog import CATALOG
from xsweep.tasks.examples import fingerprint
from xsweep.tasks.features import Features
from xsweep.tasks.source import Sources
from xsweep.tasks.task import Data, Task
from xsweep.train import live
from xsweep.train.data import Reader
from xsweep.train.loop import Progress
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
    "mini": Shape("xlm-roberta", 2, 128, 2),
    "small": Shape("xlm-roberta", 4, 256, 4),
    "base": Shape("xlm-roberta", 12, 768, 12),
    "large": Shape("xlm-roberta", 24, 1024, 16),
    "xl": Shape("xlm-roberta-xl", 36, 2560, 32),
    "xxl": Shape("xlm-roberta-xl", 48, 4096, 32, lora=True),
}
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
    dropout: float | None = 0.0
    """None: the folder's own, 0.1 for hidden states and for attention alike, as published XLM-R has it."""

    @property
    def shape(self) -> Shape:
        """The model's."""
        return SHAPES[self.folder.name]

    @property
    def skipped(self) -> int:
        """Steps before the clock starts: in the first much is made once, and what is compiled is so for some shapes."""
        return min(8, self.steps // 2) if self.gpu else 1

    @property
    def tokens(self) -> int:
        """The largest micro-batch."""
        return 16384 if self.gpu else 4096

    @property
    def training(self) -> Training:
        """The recipe."""
        fields: dict[str, Any] = {"batch_size": self.batch, "dropout": self.dropout}
        fields |= {"precision": "bf16" if self.gpu else "fp32"}
        fields |= {"lora": {"rank": 16, "alpha": 32}} if self.shape.lora else {}
        return Training.model_validate(fields)

    @property
    def stage(self) -> Stage:
        """One epoch; it is scored on a few rows, outside the time."""
        model = Model(name=self.folder.name, path=str(self.folder))
        parts = ("train", "selection")
        return Stage(
            kind="target",
            model=model,
            model_print=model_print(model, self.sources),
            tasks=(self.task,),
            prints={f"{part}/{self.task.name}": fingerprint(self.task, part, self.sources) for part in parts},  # type: ignore[arg-type]
            training=self.training,
            seed=SEED,
            hyper=Hyper(LR, 1),
            examples=self.batch * self.steps,
            score_examples=8,
        )

    def features(self, times: int = 1) -> Features:
        """The rows as they are trained on, or of as many ``times`` the examples."""
        tokenizer, printed = load_tokenizer(self.folder), live._tokenizer_print(self.folder)
        reader = Reader(self.sources, tokenizer, printed, self.stage.prints)
        return reader.part((self.task,), "train", times * self.batch * self.steps).features


@dataclass
class Run:
    """What one run showed, the steps before the clock started left out of time and tokens."""

    seconds: float
    tokens: int
    losses: list[float]
    peak: int | None = None
    """Bytes of GPU memory at most."""
    attention: str = ""
    """How attention products were computed."""


@dataclass
class Clock:
    """Marks the ends of steps."""

    case: Case
    marks: list[float] = field(default_factory=list)

    def mark(self) -> None:
        """A step has ended."""
        if self.case.gpu:
            torch.cuda.synchronize()
        self.marks.append(time.perf_counter() if self.case.gpu else time.process_time())

    @property
    def seconds(self) -> float:
        """Of the steps that count."""
        return self.marks[-1] - self.marks[self.case.skipped - 1]


@contextmanager
def whole(*_: Any) -> Iterator[None]:
    """In place of ``trimmed``: all of the word table is trained."""
    yield


def compiled(encoder: nn.Module, on: bool) -> None:
    """In place of ``set_recompute``: each layer is compiled, too."""
    set_recompute(encoder, on)
    encoder.register_forward_pre_hook(_worked_out, with_kwargs=True)
    for layer in layers(encoder):
        layer.compile(dynamic=True)


def _worked_out(_: nn.Module, given: Any, named: Any) -> None:
    """What layers ask of the segments is known before: a compiler need not see how."""
    for name in ("edges", "longest"):
        getattr(named["segments"], name)


def ours(
    case: Case,
    table: Callable[..., AbstractContextManager[None]] = trimmed,
    prepare: Callable[[nn.Module, bool], None] = set_recompute,
) -> Run:
    """A stage as a sweep runs it, in a store of its own."""
    clock, losses, tokens, paths = Clock(case), list[float](), list[int](), set[str]()

    def step(progress: Progress) -> None:
        clock.mark()
        losses.append(progress.loss)
        tokens.append(progress.tokens)

    def spied(name: str, found: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            paths.add(name)
            return found(*given, **named)

        return call

    layout = Layout(cpus=1, tokens=case.tokens, checkpoint_seconds=1e9)
    with ExitStack() as stack:
        store = stack.enter_context(tempfile.TemporaryDirectory())
        stack.enter_context(patch("xsweep.train.stage.trimmed", table))
        stack.enter_context(patch("xsweep.train.stage.set_recompute", prepare))
        if prepare is set_recompute:  # what is compiled sees through a spy, but would be compiled with it
            kernels = {"varlen": "varlen_attn", "blocks": "sdpa_attention_forward"}
            for name, function in kernels.items():
                spy = spied(name, getattr(attention, function))
                stack.enter_context(patch.object(attention, function, spy))
        measured = stack.enter_context(peak(case.gpu))
        run_job(Job((case.stage,), layout=layout), Context(Path(store), case.sources), World.single(), step)
    return Run(clock.seconds, tokens[-1] - tokens[case.skipped - 1], losses, measured[0], " and ".join(sorted(paths)))


@contextmanager
def peak(gpu: bool) -> Iterator[list[int | None]]:
    """The most memory of the GPU that was held within, in a list of one; nothing of an earlier run is left there."""
    found: list[int | None] = [None]
    if gpu:
        live._LIVE.clear()
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    yield found
    if gpu:
        found[0] = torch.cuda.max_memory_allocated()


def write_folder(shape: str, tokenizer: Path, place: Path) -> Path:
    """A model folder of random weights, made where they will be used: the host need not hold them."""
    given, words = SHAPES[shape], AutoTokenizer.from_pretrained(tokenizer)
    sizes = {"hidden_size": given.width, "num_hidden_layers": given.layers, "intermediate_size": 4 * given.width}
    sizes |= {"num_attention_heads": given.heads, "vocab_size": len(words), "max_position_embeddings": 514}
    config = AutoConfig.for_model(given.model_type, **sizes, pad_token_id=words.pad_token_id, layer_norm_eps=1e-5)
    torch.manual_seed(SEED)
    gpu = torch.cuda.is_available()
    with torch.device("cuda" if gpu else "cpu"):
        made: Any = AutoModel.from_config(config, dtype=torch.bfloat16 if gpu else torch.float32)  # type: ignore[no-untyped-call]
    made.save_pretrained(place / shape, max_shard_size="4GB")
    words.save_pretrained(place / shape)
    return place / shape


def tasks() -> dict[str, Task]:
    """What is trained on, by name."""
    xnli, squad = CATALOG["xnli"], CATALOG["squad_v1"]
    parts = [Data(dataset="facebook/xnli", config="en", split=split) for split in ("validation", "test")]
    nli = xnli.model_copy(update={"train": tuple(parts), "selection": (parts[0],)})
    return {
        "snli": CATALOG["snli"],
        "xnli": nli,
        "squad": squad.model_copy(update={"selection": squad.train}),
        "equal": nli.model_copy(update={"max_length": 16}),
    }
