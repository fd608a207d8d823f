from __future__ import annotations

from dataclasses import replace

from tests.builders import task
from xsweep.models.model import Model
from xsweep.plan.stage import Hyper, Stage
from xsweep.spec.sweep import Training

STAGE = Stage(
    kind="intermediate",
    model=Model(name="small", id="org/small"),
    model_print="aa",
    tasks=(task("snli"),),
    prints={"train/snli": "bb", "selection/snli": "cc"},
    training=Training(),
    seed=1,
    hyper=Hyper(lr=1e-4, epochs=2),
)


def test_the_key_is_golden() -> None:
    """A change here makes every stored result unreachable: raise TRAINING_VERSION on purpose, never by accident."""
    assert STAGE.key == "04eb589e70497bd519207b8d7d474fd8"


def test_names_for_people_stay_out_of_the_key() -> None:
    renamed = replace(STAGE, model=Model(name="another name", path="/somewhere", ladder="x"))
    assert renamed.key == STAGE.key


def test_everything_that_changes_a_result_changes_the_key() -> None:
    others = [
        replace(STAGE, kind="target"),
        replace(STAGE, model_print="ab"),
        replace(STAGE, model=Model(name="small", id="org/small", pooling="mean")),
        replace(STAGE, tasks=(task("snli", max_length=64),)),
        replace(STAGE, tasks=(task("snli", labels=("no", "yes")),)),
        replace(STAGE, tasks=(task("snli", scoring="mlqa"),)),
        replace(STAGE, prints={"train/snli": "xx", "selection/snli": "cc"}),
        replace(STAGE, training=Training(dropout=0.0)),
        replace(STAGE, seed=2),
        replace(STAGE, hyper=Hyper(lr=2e-4, epochs=2)),
        replace(STAGE, hyper=Hyper(lr=1e-4, epochs=3)),
        replace(STAGE, hyper=Hyper(lr=1e-4, epochs=2, until=1)),
        replace(STAGE, training=Training(schedule="wsd")),
        replace(STAGE, training=Training(schedule="wsd", cooldown=0.2)),
        replace(STAGE, examples=10),
        replace(STAGE, parent="ff"),
    ]
    assert len({stage.key for stage in [STAGE, *others]}) == len(others) + 1
