from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file

from tests.train.gang import run_here
from tests.train.small import Place
from xsweep.errors import EnvironmentProblem, UsageError
from xsweep.models.families import FAMILIES
from xsweep.models.folder import check_model_folder
from xsweep.plan.stage import Hyper, Job, Stage
from xsweep.spec.sweep import Lora, Training
from xsweep.store.store import Store
from xsweep.train import export as module
from xsweep.train.export import export
from xsweep.train.live import live
from xsweep.train.world import World

LORA = Training(batch_size=8, lora=Lora(rank=4, alpha=8), dropout=0.0)


def trained(place: Place, kind: str, training: Training) -> Stage:
    model = place.model(kind, kind=kind)
    stage = place.stage(place.task("pairs"), model, training=training, hyper=Hyper(1e-2, 1), examples=24)
    run_here(Job((stage,), frozenset({stage.key})), place.context())
    return stage


@pytest.fixture
def own(place: Place, written: Path) -> Place:
    place.mirror.unlink()
    place.mirror.mkdir()
    (place.mirror / "made--pairs").symlink_to(written / "mirror" / "made--pairs")
    return place


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("training", [Training(batch_size=8), LORA], ids=["whole", "lora"])
def test_what_is_exported_gives_the_same_hidden_states(own: Place, kind: str, training: Training) -> None:
    stage, target = trained(own, kind, training), own.root / "out"
    export(stage.key, (stage.model,), Store(own.store), own.sources, target)
    check_model_folder(target)
    base = live(own.mirror / f"made--{kind}", stage.model_print, training, World.single())
    made: Any = getattr(transformers, FAMILIES[kind].auto)
    theirs = made.from_pretrained(target).eval()
    ids = torch.tensor([[0, 9, 8, 7, 2]])
    with torch.no_grad():
        ours = base.encoder.eval()(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        found = theirs(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    assert torch.allclose(ours, found, atol=1e-5)
    before = load_file(own.mirror / f"made--{kind}" / "model.safetensors")
    after = load_file(target / "model.safetensors")
    assert any(not torch.equal(before[name], value) for name, value in after.items())
    head = load_file(target / "head.safetensors")
    assert {"head.dense.weight", "head.out.weight"} <= head.keys()


def test_large_weights_are_split(own: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARD", 20_000)
    stage, target = trained(own, "bert", Training(batch_size=8)), own.root / "out"
    export(stage.key, (stage.model,), Store(own.store), own.sources, target)
    assert len(list(target.glob("model-*-of-*.safetensors"))) > 1
    check_model_folder(target)
    transformers.AutoModel.from_pretrained(target)


def test_what_cannot_be_exported_is_said(own: Place) -> None:
    stage, store = trained(own, "bert", Training(batch_size=8)), Store(own.store)
    with pytest.raises(UsageError, match=f"no stage {'0' * 32}"):
        export("0" * 32, (stage.model,), store, own.sources, own.root / "out")
    with pytest.raises(UsageError, match="none of the models"):
        export(stage.key, (), store, own.sources, own.root / "out")
    store.evict(stage.key)
    with pytest.raises(EnvironmentProblem, match="keep: all"):
        export(stage.key, (stage.model,), store, own.sources, own.root / "out")
    assert not (own.root / "out").exists()
