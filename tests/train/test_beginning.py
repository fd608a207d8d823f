"""A run that goes on from another's beginning ends with the same bits as one from nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.train.gang import run_gang, run_here
from tests.train.small import Place
from xsweep.errors import EnvironmentProblem
from xsweep.plan.stage import Hyper, Job, Stage
from xsweep.spec.sweep import Training
from xsweep.store.manifests import Manifest
from xsweep.store.store import Store
from xsweep.train.beginning import Beginnings
from xsweep.train.stage import Context
from xsweep.train.world import World


def ended(context: Context, stage: Stage) -> Manifest:
    manifest = Store(context.store).manifest(stage.key)
    assert manifest is not None
    return manifest


def chain(place: Place, recipe: str) -> list[Stage]:
    """Runs of one trial, each to a later epoch; the last one to its end."""
    training = Training.model_validate({"batch_size": 8, "dropout": 0.1, "schedule": recipe})
    last = place.stage(place.task("others"), place.model(), training=training, hyper=Hyper(1e-3, 4))
    return [replace(last, hyper=Hyper(1e-3, 4, until)) for until in (1, 2, None)]


@pytest.mark.parametrize("recipe", ["linear", "wsd"])
def test_a_trial_that_goes_on_is_a_trial_from_nothing(
    place: Place, recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xsweep.train.score.degenerate", lambda *_: "")
    apart, together = place.context("apart"), place.context("together")
    first, second, last = chain(place, recipe)
    steps = []
    for stage in (first, second, last):
        keep = frozenset({last.key})
        run_here(Job((stage,), keep), apart)
        _, seen = run_here(Job((stage,), keep, begins=stage is not last), together)
        steps.append([step["step"] for step in seen])
        one, other = ended(apart, stage), ended(together, stage)
        assert (one.status, one.metrics, one.files) == (other.status, other.metrics, other.files)
    assert [ended(apart, stage).status for stage in (first, second, last)] == ["pruned", "pruned", "ok"]
    assert ended(apart, first).reason == "stopped after 1 of 4 epochs"
    assert first.beginning == second.beginning == last.beginning
    # Epochs of 5 steps; a run under wsd has a cool-down of one step of its own.
    shared = [5, 10] if recipe == "linear" else [4, 9]
    begun = zip([0, *shared], [5, 10, 20], strict=True)
    assert steps == [list(range(before + 1, end + 1)) for before, end in begun]


def test_a_shorter_run_under_wsd_begins_a_longer_one(place: Place) -> None:
    training = Training(batch_size=8, schedule="wsd")
    short = place.stage(place.task("others"), place.model(), training=training, hyper=Hyper(1e-3, 1))
    longer = replace(short, hyper=Hyper(1e-3, 2))
    assert short.beginning == longer.beginning
    assert replace(longer, seed=5).beginning != longer.beginning
    assert replace(longer, hyper=Hyper(2e-3, 2)).beginning != longer.beginning
    shared, alone = place.context("shared"), place.context("alone")
    run_here(Job((short,), begins=True), shared)
    run_here(Job((longer,)), shared)
    run_here(Job((longer,)), alone)
    one, other = ended(shared, longer), ended(alone, longer)
    assert (one.metrics, one.files) == (other.metrics, other.files)
    assert one.timings["train"] < other.timings["train"] * 1.5
    store = Store(shared.store)
    assert store.beginnings() == [longer.beginning]
    assert store.drop_beginning(longer.beginning) > 0
    assert store.beginnings() == []


def test_linear_runs_of_other_lengths_have_nothing_in_common(place: Place) -> None:
    first, *_, last = chain(place, "linear")
    assert replace(last, hyper=Hyper(1e-3, 3)).beginning != first.beginning


def test_without_parents_weights_a_beginning_is_enough(place: Place) -> None:
    parent = place.stage(place.task("others"), place.model(), kind="intermediate", hyper=Hyper(1e-3, 1))
    first, *_, last = (replace(stage, parent=parent.key) for stage in chain(place, "linear"))
    context = place.context("evicted")
    run_here(Job((parent, first), frozenset({parent.key}), begins=True), context)
    Store(context.store).evict(parent.key)
    (outcome, *_), _ = run_here(Job((last,)), context)
    assert outcome["status"] in ("ok", "degenerate")


def test_two_workers_go_on_exactly(place: Place, tmp_path: Path) -> None:
    first, *_, last = chain(place, "wsd")
    together, apart = place.context("two-together"), place.context("two-apart")
    run_gang(2, Job((first,), begins=True), together, tmp_path)
    _, steps = run_gang(2, Job((last,)), together, tmp_path)
    run_gang(2, Job((last,)), apart, tmp_path)
    assert steps[0]["step"] == 5
    one, other = ended(together, last), ended(apart, last)
    assert (one.metrics, one.files) == (other.metrics, other.files)


def test_a_beginning_that_goes_at_the_wrong_moment_is_said(place: Place) -> None:
    """Going on from nothing instead would train from other weights than the parent's."""
    first, *_, last = chain(place, "linear")
    store = Store(place.context("gone").store)
    gone = Beginnings(store, last, World.single(), taken=first.end, leaves=False)
    with pytest.raises(EnvironmentProblem, match="was removed while a run started from it; run again"):
        gone.take({})
