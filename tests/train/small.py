"""A small place to train in: tiny random encoders, a word tokenizer, and tasks that can be learned in seconds."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast

from xsweep.models.folder import family_of, model_print
from xsweep.models.model import Model
from xsweep.plan.stage import Hyper, Job, Stage
from xsweep.spec.sweep import Layout, Training
from xsweep.tasks.examples import fingerprint
from xsweep.tasks.source import Sources
from xsweep.tasks.task import Data, Task
from xsweep.train import stage
from xsweep.train.stage import Context, OnStep
from xsweep.train.world import World

WORDS = [f"w{i}" for i in range(120)]
SPECIALS = ["<s>", "<pad>", "</s>", "<unk>"]

OWN: Mapping[str, dict[str, Any]] = {
    "deberta-v2": {"type_vocab_size": 0, "relative_attention": True, "position_buckets": 8}
    | {"norm_rel_ebd": "layer_norm", "share_att_key": True, "pos_att_type": ["p2c", "c2p"]}
    | {"position_biased_input": False},
    "eurobert": {"num_key_value_heads": 2},
    "modernbert": {"global_attn_every_n_layers": 2, "embedding_dropout": 0.0, "mlp_dropout": 0.0},
    "mt5": {"d_ff": 64, "d_kv": 16, "dropout_rate": 0.0, "initializer_factor": 1.0},
    "qwen3": {"num_key_value_heads": 1, "head_dim": 16},
    "rembert": {"input_embedding_size": 16, "output_embedding_size": 24, "classifier_dropout_prob": 0.0},
}
"""What a small model of a family needs beside a shape."""

Columns = Mapping[str, Sequence[Any]]


def write_model(
    folder: Path, kind: str = "bert", layers: int = 2, seed: int = 0, mask: bool = True, **changes: Any
) -> Path:
    """A random encoder 32 wide with a tokenizer of one token a word, and no dropout unless asked for."""
    vocabulary = {word: i for i, word in enumerate(SPECIALS + WORDS)}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    names |= {"mask_token": "<unk>"} if mask else {}
    fast: Any = PreTrainedTokenizerFast
    fast(tokenizer_object=inner, model_input_names=["input_ids", "attention_mask"], **names).save_pretrained(folder)
    shape: dict[str, Any] = {
        "vocab_size": len(vocabulary),
        "hidden_size": 32,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
    }
    shape |= {"intermediate_size": 64, "max_position_embeddings": 80, "pad_token_id": 1}
    shape |= {"initializer_range": 0.1, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = AutoConfig.for_model(kind, **{**shape, **OWN.get(kind, {}), **changes})
        AutoModel.from_config(config).save_pretrained(folder)  # type: ignore[no-untyped-call]
    return folder


def pair_rows(rows: int, seed: int) -> dict[str, list[Any]]:
    """Learnable from single words: the label is whether the first word lies in the upper half."""
    rng = random.Random(seed)
    firsts = [" ".join(rng.choices(WORDS, k=rng.randint(1, 12))) for _ in range(rows)]
    seconds = [" ".join(rng.choices(WORDS, k=rng.randint(1, 6))) for _ in range(rows)]
    labels = [int(int(first.split()[0][1:]) >= 60) for first in firsts]
    return {"premise": firsts, "hypothesis": seconds, "label": labels}


def span_rows(rows: int, seed: int) -> dict[str, list[Any]]:
    """Learnable from single words: the answer is the one word below w10."""
    rng = random.Random(seed)
    table: dict[str, list[Any]] = {"question": [], "context": [], "answers": []}
    for _ in range(rows):
        words = rng.choices(WORDS[10:], k=rng.randint(5, 40))
        place = rng.randrange(len(words))
        words[place] = rng.choice(WORDS[:10])
        start = len(" ".join(words[:place])) + (place > 0)
        table["question"].append(" ".join(rng.choices(WORDS[10:], k=3)))
        table["context"].append(" ".join(words))
        table["answers"].append({"text": [words[place]], "answer_start": [start]})
    return table


def choice_rows(rows: int, seed: int, choices: int = 3) -> dict[str, list[Any]]:
    """Learnable from single words: the right choice is the one with a word below w10."""
    rng = random.Random(seed)
    table: dict[str, list[Any]] = {"context": [], "choices": [], "label": []}
    for _ in range(rows):
        texts = [" ".join(rng.choices(WORDS[10:], k=rng.randint(1, 6))) for _ in range(choices)]
        label = rng.randrange(choices)
        texts[label] = f"{texts[label]} {rng.choice(WORDS[:10])}"
        table["context"].append(" ".join(rng.choices(WORDS[10:], k=rng.randint(1, 12))))
        table["choices"].append(texts)
        table["label"].append(label)
    return table


def tag_rows(rows: int, seed: int) -> dict[str, list[Any]]:
    """Learnable from single words: a span is a word below w30 and the words below w60 that follow it."""
    rng = random.Random(seed)
    table: dict[str, list[Any]] = {"tokens": [], "tags": []}
    for _ in range(rows):
        numbers = rng.choices(range(len(WORDS)), k=rng.randint(3, 40))
        table["tokens"].append([WORDS[n] for n in numbers])
        table["tags"].append(["B-X" if n < 30 else "I-X" if n < 60 else "O" for n in numbers])
    return table


def text_rows(rows: int, seed: int) -> dict[str, list[Any]]:
    rng = random.Random(seed)
    return {"text": [" ".join(rng.choices(WORDS, k=rng.randint(5, 30))) for _ in range(rows)]}


HEADS: Mapping[str, dict[str, Any]] = {
    "pair": {"labels": ("low", "high"), "metric": "accuracy"},
    "span": {"metric": "f1"},
    "choice": {"metric": "accuracy"},
    "tag": {"labels": ("O", "B-X", "I-X"), "metric": "f1"},
    "text": {"family": "text", "metric": "accuracy", "test": None, "languages": ()},
}
DATA = {"pair": "others", "span": "spans", "choice": "choices", "tag": "tags"}
"""A data set of each format, as the fixture ``place`` has them."""


@dataclass(frozen=True)
class Laid(Context):
    """Where jobs read and write, and the layout of those that ``run_job`` runs there."""

    layout: Layout


def run_job(job: Job, context: Context, world: World, on_step: OnStep | None = None) -> list[dict[str, Any]]:
    """Run ``job`` as the engine does, laid as the context says where it says so."""
    laid = replace(job, layout=context.layout) if isinstance(context, Laid) else job
    return stage.run_job(laid, context, world, on_step)


class Place:
    """A mirror with data and models, a store, and stages over them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.mirror = root / "mirror"
        self.sources = Sources((self.mirror,), root / "cache")
        self.store = root / "store"

    def data(self, name: str, make: Callable[[int, int], Columns], **rows: int) -> None:
        """Write splits ``train``, ``dev`` and ``test`` (in ``de`` too) of a data set ``made/NAME``."""
        sizes = {"train": 64, "dev": 48, "test": 40, **rows}
        for number, (split, count) in enumerate(sizes.items()):
            for config in ("en", "de"):
                path = self.mirror / f"made--{name}" / config / f"{split}.parquet"
                path.parent.mkdir(parents=True, exist_ok=True)
                pq.write_table(pa.table(dict(make(count, 100 * number + (config == "de")))), path)

    def model(self, name: str = "bert", **changes: Any) -> Model:
        """A model of the mirror, written when it is not there."""
        folder = self.mirror / f"made--{name}"
        if not folder.is_dir():
            write_model(folder, **changes)
        kind = family_of(folder)
        return Model(name=name, id=f"made/{name}", pooling=kind.pooling if kind.kind == "decoder" else "first")

    def task(self, name: str, form: str = "pair", **changes: Any) -> Task:
        """A task over the data set ``made/NAME``."""
        names = HEADS[form]["labels"] if form == "pair" else ()
        train, dev = (Data(dataset=f"made/{name}", config="en", split=s, labels=names) for s in ("train", "dev"))
        test = Data(dataset=f"made/{name}", config="{language}", split="test", labels=names)
        declared: dict[str, Any] = {"name": name, "family": "nli", "format": form}
        declared |= {"languages": ("en", "de")}
        declared |= {"max_length": 32, "stride": 4, "train": (train,), "selection": (dev,), "test": test}
        return Task.model_validate({**declared, **HEADS[form], **changes})

    def stage(self, task: Task, model: Model, *, training: Training | None = None, **changes: Any) -> Stage:
        """A training stage of one task."""
        return Stage(
            kind=changes.pop("kind", "target"),
            model=model,
            model_print=model_print(model, self.sources),
            tasks=(task,),
            prints={
                f"train/{task.name}": fingerprint(task, "train", self.sources),
                f"selection/{task.name}": fingerprint(task, "selection", self.sources),
            },
            training=training or Training(batch_size=8, warmup=0.1),
            seed=changes.pop("seed", 1),
            hyper=changes.pop("hyper", Hyper(3e-3, 2)),
            **changes,
        )

    def evaluate(self, parent: Stage, **changes: Any) -> Stage:
        """The stage that scores ``parent`` in two languages."""
        task = parent.tasks[0]
        prints = {f"test/{task.name}/{lang}": fingerprint(task, "test", self.sources, lang) for lang in ("en", "de")}
        fields: dict[str, Any] = {"kind": "evaluate", "hyper": None, "parent": parent.key, "languages": ("en", "de")}
        return replace(parent, **{**fields, "prints": prints, **changes})

    def context(self, store: str = "store", **layout: Any) -> Laid:
        """Where to run; layouts of one thread that never checkpoint by the clock."""
        fields = {"cpus": 1, "tokens": 4096, "checkpoint_seconds": 1e9, **layout}
        return Laid(self.root / store, self.sources, Layout(**fields))
