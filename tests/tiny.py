"""A whole small universe on disk: a mirror of tiny data sets, two tiny random encoders, and a sweep file over them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

WORDS = [f"w{i}" for i in range(40)]

SWEEP = """\
name: tiny
models:
  - {name: t1, id: org/tiny-1, pooling: mean}
  - {name: t2, id: org/tiny-2, pooling: mean}
tasks:
  - name: inter
    family: nli
    format: pair
    labels: [same, other]
    metric: accuracy
    train: {dataset: org/pairs, config: en, split: train}
    selection: {dataset: org/pairs, config: en, split: validation}
    max_length: 32
  - name: goal
    family: nli
    format: pair
    labels: [same, other]
    metric: accuracy
    train: {dataset: org/pairs, config: en, split: small}
    selection: {dataset: org/pairs, config: en, split: validation}
    test: {dataset: org/pairs, config: "{language}", split: test}
    languages: [en, de]
    max_length: 32
arms: [none, {name: nli, tasks: [inter]}]
targets: [{task: goal, languages: [en, de]}]
seeds: [1, 2]
search:
  seed: 0
  intermediate: {trials: 2, lr: {low: 1e-4, high: 1e-2}, epochs: [1, 2]}
  target: {trials: 2, lr: {low: 1e-4, high: 1e-2}, epochs: 1}
layout: {groups: 1, workers: 1, cpus: 1}
"""


def universe(folder: Path) -> Path:
    """Write the mirror; returns it."""
    mirror = folder / "mirror"
    rng = random.Random(0)
    for config in ("en", "de"):
        for split, rows in (("train", 96), ("small", 48), ("validation", 32), ("test", 40)):
            _pairs(mirror / "org--pairs" / config / f"{split}.parquet", rows, rng)
    for layers in (1, 2):
        _model(mirror / f"org--tiny-{layers}", layers)
    return mirror


def sweep_file(folder: Path, text: str = SWEEP) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(text)
    return path


def _pairs(path: Path, rows: int, rng: random.Random) -> None:
    import datasets

    firsts = [" ".join(rng.sample(WORDS, 4)) for _ in range(rows)]
    labels = [i % 2 for i in range(rows)]
    others = [rng.choice([word for word in WORDS if word not in first.split()]) for first in firsts]
    seconds = [other if y else first.split()[0] for first, other, y in zip(firsts, others, labels, strict=True)]
    features = datasets.Features(
        {"premise": datasets.Value("string"), "hypothesis": datasets.Value("string"),
         "label": datasets.ClassLabel(names=["same", "other"])}
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    rows_of: dict[str, list[Any]] = {"premise": firsts, "hypothesis": seconds, "label": labels}
    datasets.Dataset.from_dict(rows_of, features=features).to_parquet(str(path))


def _model(folder: Path, layers: int) -> None:
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    specials = ["<pad>", "<s>", "</s>", "<unk>"]
    vocabulary = {word: i for i, word in enumerate(specials + WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # transformers
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", cls_token="<s>",
        sep_token="</s>", unk_token="<unk>", model_max_length=64,
    ).save_pretrained(folder)  # fmt: skip
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=layers, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=64, pad_token_id=0,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(layers)
        BertModel(config, add_pooling_layer=False).save_pretrained(folder)
