from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.train.small import Place
from xsweep.models.heads import Network, losses, make_head
from xsweep.models.load import load_encoder, load_tokenizer, word_table
from xsweep.tasks.examples import load_split
from xsweep.tasks.features import FloatArray
from xsweep.tasks.formats import FORMATS
from xsweep.train.predict import Outputs, Setting, infer
from xsweep.train.world import World


@pytest.mark.parametrize("form", ["pair", "span"])
def test_batched_scores_are_those_of_single_rows(place: Place, form: str) -> None:
    place.model()
    folder = place.mirror / "made--bert"
    task = place.task("spans", "span") if form == "span" else place.task("others")
    examples = load_split(task, "selection", place.sources).examples[:12]
    features = FORMATS[form].encode(examples, task, load_tokenizer(folder))
    encoder = load_encoder(folder, 0.5)
    head = make_head(form, word_table(encoder), 2, dropout=0.5, pooling="mean", std=0.5, seed=1)
    network = Network(encoder, head)
    outputs = infer(network, features, 2, Setting(World(0, 1, torch.device("cpu")), 100, 1, "fp32", 32))
    network.eval()
    for row in range(len(features)):
        ids = torch.from_numpy(features.ids[features.span(row)].astype(np.int64))[None]
        with torch.no_grad():
            logits = network(ids, torch.ones_like(ids), None)
        np.testing.assert_allclose(outputs.logits[row], logits[0].numpy(), atol=1e-5)
        allowed = None if features.allowed is None else torch.from_numpy(features.allowed[row : row + 1])
        target = torch.from_numpy(features.targets[row : row + 1].astype(np.int64))
        np.testing.assert_allclose(outputs.losses[row], losses(logits, target, allowed).item(), atol=1e-5)


def test_one_bad_logit_is_enough() -> None:
    good: list[FloatArray] = [np.zeros(3), np.ones(3)]
    assert Outputs(good, np.zeros(2)).finite
    assert not Outputs([*good, np.array([0.0, np.nan, 0.0])], np.zeros(3)).finite
