from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.train.small import DATA, Place
from xsweep.models.heads import Network, losses, make_head
from xsweep.models.load import load_encoder, load_tokenizer, word_table
from xsweep.tasks.examples import load_split
from xsweep.tasks.features import NO_LABEL, Features, FloatArray
from xsweep.tasks.formats import FORMATS
from xsweep.train.predict import Outputs, Setting, infer
from xsweep.train.world import World


@pytest.mark.parametrize("form", ["pair", "span", "choice", "tag"])
def test_batched_scores_are_those_of_single_rows(place: Place, form: str) -> None:
    place.model()
    folder = place.mirror / "made--bert"
    task = place.task(DATA[form], form)
    examples = load_split(task, "selection", place.sources).examples[:12]
    features = FORMATS[form].encode(examples, task, load_tokenizer(folder))
    encoder = load_encoder(folder, 0.5)
    width = FORMATS[form].outputs(task)
    head = make_head(form, word_table(encoder), width, dropout=0.5, pooling="mean", std=0.5, seed=1)
    network = Network(encoder, head)
    outputs = infer(network, features, width, Setting(World(0, 1, torch.device("cpu")), 100, 1, 32))
    network.eval()
    for row in range(len(features)):
        with torch.no_grad():
            logits, loss = alone(network, features, row)
        np.testing.assert_allclose(outputs.logits[row], logits.numpy(), atol=1e-5)
        np.testing.assert_allclose(outputs.losses[row], loss.item(), atol=1e-5)


def alone(network: Network, features: Features, row: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and loss of one row, each of its sequences run by itself."""
    start, end = features.offsets[row], features.offsets[row + 1]
    edges = [start, end] if features.sequences is None else [e for e in features.sequences if start <= e <= end]
    labels = None
    if features.labels is not None:
        labels = torch.from_numpy(features.labels[features.span(row)].astype(np.int64))[None]
    parts = [torch.from_numpy(features.ids[a:b].astype(np.int64))[None] for a, b in pairwise(edges)]
    logits = torch.cat([network(ids, torch.ones_like(ids), None, labels) for ids in parts])
    target = torch.from_numpy(features.targets[row : row + 1].astype(np.int64))
    if features.sequences is not None:
        return logits, functional.cross_entropy(logits[:, 0][None], target)
    if labels is not None:
        return logits, functional.cross_entropy(logits, labels[labels != NO_LABEL], reduction="sum")
    allowed = None if features.allowed is None else torch.from_numpy(features.allowed[row : row + 1])
    return logits[0], losses(logits, target, allowed)


def test_one_bad_logit_is_enough() -> None:
    good: list[FloatArray] = [np.zeros(3), np.ones(3)]
    assert Outputs(good, np.zeros(2)).finite
    assert not Outputs([*good, np.array([0.0, np.nan, 0.0])], np.zeros(3)).finite
