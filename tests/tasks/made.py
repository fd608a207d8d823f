"""Small mirrors written by hand, and a tiny tokenizer trained on the spot."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from xsweep.tasks.catalog.nli import NLI
from xsweep.tasks.catalog.tagging import ENTITIES
from xsweep.tasks.source import Sources
from xsweep.tasks.task import Data, Task

Columns = Mapping[str, Sequence[Any]]


class Mirror:
    """A mirror folder that a test fills."""

    def __init__(self, root: Path) -> None:
        self.root = root / "mirror"
        self.sources = Sources((self.root,), root / "cache")

    def write(
        self, columns: Columns, names: Sequence[str] = NLI, *, at: str = "org--set/default/train.parquet"
    ) -> Path:
        """Write one split with ClassLabel names for its column ``label``."""
        path = self.root / at
        path.parent.mkdir(parents=True, exist_ok=True)
        features = {"label": {"_type": "ClassLabel", "names": list(names)}} if names and "label" in columns else {}
        metadata = {"huggingface": json.dumps({"info": {"features": features}})}
        pq.write_table(pa.table(dict(columns)).replace_schema_metadata(metadata), path)
        return path


def pairs(n: int, **changes: Sequence[Any]) -> dict[str, Sequence[Any]]:
    """``n`` good rows of the pair format, with columns put in or replaced."""
    rows = {"premise": [f"premise {i}" for i in range(n)], "hypothesis": [f"claim {i}" for i in range(n)]}
    return {**rows, "label": [i % 3 for i in range(n)], **changes}


def answers(text: str, start: int) -> dict[str, list[Any]]:
    return {"text": [text], "answer_start": [start]}


def pair_task(*train: Data, **changes: Any) -> Task:
    data = train or (Data(dataset="org/set", split="train"),)
    declared = {"name": "toy", "family": "nli", "format": "pair", "labels": NLI, "metric": "accuracy"}
    return Task.model_validate({**declared, "train": data, "selection": (), **changes})


def span_task(*train: Data, **changes: Any) -> Task:
    data = train or (Data(dataset="org/set", split="train"),)
    declared = {"name": "toy", "family": "qa", "format": "span", "metric": "f1", "max_length": 32, "stride": 8}
    return Task.model_validate({**declared, "train": data, "selection": (), **changes})


def choice_task(*train: Data, **changes: Any) -> Task:
    data = train or (Data(dataset="org/set", split="train"),)
    declared = {"name": "toy", "family": "commonsense", "format": "choice", "metric": "accuracy", "max_length": 32}
    return Task.model_validate({**declared, "train": data, "selection": (), **changes})


def tag_task(*train: Data, **changes: Any) -> Task:
    data = train or (Data(dataset="org/set", split="train"),)
    declared = {"name": "toy", "family": "tagging", "format": "tag", "labels": ENTITIES, "metric": "f1"}
    return Task.model_validate({**declared, "train": data, "selection": (), "max_length": 16, **changes})


def character_tokenizer() -> Any:
    """Every character but white space is a token; XLM-R's pair template."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {name: i for i, name in enumerate(["<s>", "<pad>", "</s>", "<unk>", *map(chr, range(33, 127))])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex("."), "isolated")]
    )
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s>:0 $A:0 </s>:0 </s>:0 $B:1 </s>:1",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    names = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    make: Any = PreTrainedTokenizerFast
    return make(tokenizer_object=inner, **names)
