"""The stage that pretrains an encoder of the artificial world: exact, resumable, and what later stages start from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

from tests.train.gang import run_gang, run_here
from tests.train.small import Place
from xsweep.models.catalog import MODELS
from xsweep.models.folder import model_print
from xsweep.plan.stage import Hyper, Job, Stage
from xsweep.spec.sweep import Training
from xsweep.store.store import Store
from xsweep.tasks.catalog import CATALOG
from xsweep.tasks.examples import fingerprint
from xsweep.tasks.task import Data, Task
from xsweep.tasks.world.catalog import TEXT

KILL = {"XSWEEP_TESTING": "1", "XSWEEP_FAILPOINT": "step:5:kill9"}
FEW = TEXT.model_copy(
    update={
        "name": "few",
        "train": (Data(dataset="world/text", config="en", split="validation"),),
        "selection": (Data(dataset="world/text", config="c80", split="test"),),
    }
)


def stage(place: Place, task: Task, kind: str, hyper: Hyper, parent: str | None = None) -> Stage:
    model = MODELS["world-24"]
    return Stage(
        kind=kind,  # type: ignore[arg-type]  # the literals of the test itself
        model=model,
        model_print=model_print(model, place.sources),
        tasks=(task,),
        prints={f"{part}/{task.name}": fingerprint(task, part, place.sources) for part in ("train", "selection")},
        training=Training(batch_size=64),
        seed=3,
        hyper=hyper,
        parent=parent,
    )


def pretraining(place: Place, epochs: int = 2) -> Job:
    made = stage(place, FEW, "pretrain", Hyper(4e-3, epochs))
    return Job((made,), frozenset({made.key}))


def test_hidden_tokens_are_found_again_more_often(place: Place) -> None:
    (outcome,), _ = run_here(pretraining(place, 8), place.context())
    history = Store(place.store).manifest(outcome["key"])
    assert history is not None
    first, *_, last = history.metrics["dev"]
    assert last["loss"] < 0.9 * first["loss"]
    assert last["accuracy"] > first["accuracy"]


def test_two_workers_do_as_one(place: Place, tmp_path: Path) -> None:
    """The word table is trained through the encoder and through the head that shares it."""
    job = pretraining(place)
    _, alone = run_here(job, place.context("alone"))
    _, both = run_gang(2, job, place.context("both"), tmp_path)
    assert [step["loss"] for step in both] == pytest.approx([step["loss"] for step in alone], abs=1e-5)


def test_killed_in_mid_epoch(place: Place, tmp_path: Path) -> None:
    job, calm, rough = pretraining(place), place.context("calm"), place.context("rough", checkpoint_seconds=1e-9)
    run_here(job, calm)
    with pytest.raises((ProcessExitedException, ProcessRaisedException)):
        run_gang(1, job, rough, tmp_path, KILL)
    run_here(job, rough)
    first, second = (Store(context.store).manifest(job.key) for context in (calm, rough))
    assert first is not None
    assert second is not None
    assert first.files == second.files


def test_what_comes_after_starts_from_it(place: Place) -> None:
    """From memory or from the store; never from the random weights."""
    task = CATALOG["world_nli_small"]
    base = pretraining(place)
    child = stage(place, task, "intermediate", Hyper(1e-3, 1), base.key)
    orphan = stage(place, task, "intermediate", Hyper(1e-3, 1))
    chained, stored = place.context("chained"), place.context("stored")
    _, from_memory = run_here(Job((*base.stages, child), frozenset({base.key})), chained)
    run_here(base, stored)
    run_here(Job((orphan,)), stored)
    _, from_store = run_here(Job((child,)), stored)
    _, from_nothing = run_here(Job((orphan,)), place.context("nothing"))
    losses = [step["loss"] for step in from_memory if step["key"] == child.key]
    assert losses == [step["loss"] for step in from_store]
    assert losses != [step["loss"] for step in from_nothing]


def test_no_head_is_carried_from_it(place: Place) -> None:
    """Where arms hand their heads on, the baseline starts with a fresh one all the same."""
    task = CATALOG["world_nli_small"]
    base = pretraining(place, 1)
    first = stage(place, task, "target", Hyper(1e-3, 1), base.key)
    training = first.training.model_copy(update={"carry": "encoder+head"})
    (_, outcome), _ = run_here(Job((*base.stages, replace(first, training=training))), place.context())
    assert outcome["status"] in ("ok", "degenerate")
