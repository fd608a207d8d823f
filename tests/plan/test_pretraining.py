"""Models that start from random weights: their pretraining is a stage below every other."""

from __future__ import annotations

from pathlib import Path

from tests.builders import behind, sweep, task
from tests.plan.test_resolve import decide, finish, resolver, run_all
from xsweep.models.model import Model, Pretrain
from xsweep.plan.cells import build_plan
from xsweep.plan.cost import estimate
from xsweep.plan.prints import readings
from xsweep.plan.records import collect
from xsweep.spec.sweep import Sweep


def raw() -> Sweep:
    text = task("text", family="text", format="text", labels=(), rows=100, tokens=10)
    recipe = Pretrain(task=text, lr=1e-3, epochs=2)
    models = tuple(
        Model(name=name, id=f"org/{name}", params=size, embedding_params=50, pretrain=recipe)
        for name, size in (("small", 100), ("large", 400))
    )
    return sweep(models=(*models, Model(name="published", id="org/published", params=900)))


def test_it_comes_first_largest_model_first_and_only_where_it_is_wanted(tmp_path: Path) -> None:
    at = resolver(tmp_path / "store", raw())
    labels = [label for label, _ in at.pretraining()]
    assert labels == ["large / pretraining", "small / pretraining"]
    assert at.pretrained("published") is None
    for _, job in list(at.pretraining()):
        finish(at, job)
    assert list(at.pretraining()) == []


def test_every_first_stage_starts_from_it(tmp_path: Path) -> None:
    at = resolver(tmp_path / "store", raw())
    for _, job in list(at.pretraining()):
        finish(at, job)
    for level in at.plan.levels:
        for cell in level:
            decide(at, cell)
    base = at.pretrained("small")
    assert base
    arm = at.intermediate(behind("small", "nli", 1))
    assert arm
    assert arm.parent == base.key
    of = {cell.arm: at.target(cell) for cell in at.plan.cells if (cell.model, cell.seed) == ("small", 1)}
    assert of["none"]
    assert of["none"].parent == base.key
    assert of["nli"]
    assert of["nli"].parent == arm.key


def test_lost_weights_are_made_again_by_whoever_needs_them(tmp_path: Path) -> None:
    at = resolver(tmp_path / "store", raw())
    for _, job in list(at.pretraining()):
        finish(at, job)
    run_all(at)
    base = at.pretrained("small")
    assert base
    at.store.evict(base.key)
    assert [label for label, _ in at.pretraining()] == ["small / pretraining"]
    arm = at.intermediate(behind("small", "nli", 1))
    assert arm
    at.store.evict(arm.key)
    assert [stage.kind for stage in at.job(arm).stages] == ["pretrain", "intermediate"]


def test_it_is_read_counted_and_recorded(tmp_path: Path) -> None:
    used = raw()
    names = [reading.name for reading in readings(used)]
    assert names[:2] == ["train/text", "selection/text"]
    line = next(line for line in estimate(build_plan(used)).lines if line.stage == "pretrain")
    assert (line.needed, line.runs) == (2, 2)
    assert line.flops == 6.0 * (50 + 350) * 100 * 10 * 2
    records = [record for record in collect(resolver(tmp_path / "store", used)) if record.kind == "pretrain"]
    assert [(record.model.name, record.arm, record.target) for record in records] == [
        ("small", "none", None),
        ("large", "none", None),
    ]


def test_a_published_checkpoint_has_no_such_line() -> None:
    assert next(line.stage for line in estimate(build_plan(sweep())).lines) == "intermediate trials"
