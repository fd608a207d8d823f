"""Zero-shot means zero-shot: what other languages' rows and test labels say changes nothing that is chosen or trained.

A whole sweep on tiny data, controls included, without a cluster: studies, decisions and stages as the engine makes
them, on one mirror as it is and on one where those rows are perturbed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.builders import space
from tests.train.small import Place, pair_rows, run_job
from xsweep.engine.studies import Suggestions, decide
from xsweep.engine.survey import survey
from xsweep.plan.cells import Plan, build_plan
from xsweep.plan.prints import Prints
from xsweep.plan.resolve import Resolver
from xsweep.plan.stage import Job
from xsweep.plan.study import Trial
from xsweep.spec.sweep import Arm, Search, Sweep, Target, Training
from xsweep.store.store import Store
from xsweep.train import data, live
from xsweep.train.world import World


def perturb(mirror: Path) -> None:
    """Every label of test rows is another, and other languages' other rows are other rows altogether."""
    for path in sorted(mirror.glob("made--*/*/*.parquet")):
        if path.parent.name == "en" and path.stem != "test":
            continue
        table = pq.read_table(path)
        labels = [1 - label for label in table.column("label").to_pylist()]
        rows = pair_rows(table.num_rows, 7) if path.stem != "test" else {**table.to_pydict(), "label": labels}
        pq.write_table(pa.table(rows), path)


def made(root: Path, *, perturbed: bool) -> Place:
    """A mirror with two small data sets and a model."""
    place = Place(root)
    place.data("others", pair_rows, train=40)
    place.data("pairs", pair_rows, train=64)
    place.model(layers=1)
    if perturbed:
        perturb(place.mirror)
    return place


def sweep_of(place: Place) -> Sweep:
    inter, goal = place.task("others", test=None, languages=()), place.task("pairs")
    arms = (
        Arm(name="none"),
        Arm(name="others", tasks=(inter,)),
        Arm(name="blind", tasks=(inter,), control="shuffled-labels"),
        Arm(name="longer", control="compute-matched", of="others"),
    )
    return Sweep(
        name="tiny",
        models=(place.model(),),
        arms=arms,
        targets=(Target(task=goal, languages=("en", "de")),),
        seeds=(1,),
        search=Search(intermediate=space(2), target=space(2)),
        train=Training(batch_size=8),
    )


@dataclass(frozen=True)
class Swept:
    """What a sweep left behind."""

    decisions: dict[str, Any]
    """By study label."""
    trained: dict[str, Any]
    """Stage key -> metrics of everything but evaluations."""
    scored: dict[str, Any]
    """Cell label -> (stage key, metrics) of evaluations."""
    hypers: dict[str, Any]
    """Cell label -> what the target stage was trained with."""


def swept(place: Place) -> Swept:
    """The whole sweep, stage after stage in this process."""
    data._PARTS.clear()
    live._LIVE.clear()
    plan, store = build_plan(sweep_of(place)), Store(place.store)
    at = Resolver(plan, survey(plan.sweep, place.sources), store)
    decisions = {study: decision for level in plan.levels for study, decision in _level(at, plan, level, place)}
    while jobs := [job for _, job in at.ready()]:
        for job in jobs:
            run_job(job, place.context(), World.single())
    scored, hypers = {}, {}
    for cell in plan.cells:
        trained, evaluated = at.target(cell), at.evaluate(cell)
        assert trained
        assert evaluated
        manifest = store.manifest(evaluated.key)
        assert manifest
        hypers[cell.label], scored[cell.label] = trained.hyper, (evaluated.key, manifest.metrics["test"])
    manifests = [store.manifest(stage.key) for stage in at.make.stages]
    trained_ones = {m.key: (m.status, m.metrics) for m in manifests if m and m.kind != "evaluate"}
    return Swept(decisions, trained_ones, scored, hypers)


def _level(at: Resolver, plan: Plan, level: Any, place: Place) -> list[tuple[str, Any]]:
    found = []
    for cell in level:
        study = at.study(cell)
        assert study
        trials = [_trial(at, place, number, hyper, study) for number, hyper in Suggestions(study).pending({})]
        decision = decide(study, trials)
        assert decision
        at.store.decide(study.address, decision)
        found.append((f"{study.label} {study.address}", decision))
    return found


def _trial(at: Resolver, place: Place, number: int, hyper: Any, study: Any) -> Trial:
    job: Job = at.job(at.trial(study, hyper))
    (*_, ended) = run_job(job, place.context(), World.single())
    return Trial(number, hyper, job.key, ended["status"], ended["score"])


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Swept, Swept]:
    """The sweep on the data as it is, and on perturbed data."""
    places = [made(tmp_path_factory.mktemp("zero"), perturbed=perturbed) for perturbed in (False, True)]
    return swept(places[0]), swept(places[1])


def test_no_decision_and_no_trained_stage_knows_what_is_scored(both: tuple[Swept, Swept]) -> None:
    plain, perturbed = both
    assert plain.decisions == perturbed.decisions
    assert len(plain.decisions) == 2 + 1 + 2
    assert plain.hypers == perturbed.hypers
    assert plain.trained.keys() == perturbed.trained.keys()
    assert plain.trained == perturbed.trained, "bit for bit"
    assert len(plain.trained) == 5 * 2 + 2 + 4


def test_only_the_scores_differ(both: tuple[Swept, Swept]) -> None:
    plain, perturbed = both
    assert plain.scored.keys() == perturbed.scored.keys()
    for label, (key, test) in plain.scored.items():
        other, flipped = perturbed.scored[label]
        assert key != other
        for code in ("en", "de"):
            assert flipped[code]["accuracy"] == pytest.approx(100 - test[code]["accuracy"]), "each label was turned"


def test_the_longer_baseline_has_the_steps_of_both_stages(both: tuple[Swept, Swept]) -> None:
    plain, _ = both
    hypers = {label.split(" / ")[1]: hyper for label, hyper in plain.hypers.items()}
    study = next(decision for label, decision in plain.decisions.items() if label.startswith("bert / others "))
    first, second = 5 * study["hyper"]["epochs"], 8 * hypers["others"].epochs
    assert hypers["longer"].epochs == (2 * (first + second) + 8) // 16
    assert hypers["longer"].lr == hypers["none"].lr


def test_the_survey_sees_test_rows_alone_change(tmp_path: Path) -> None:
    found: list[Prints] = []
    for perturbed in (False, True):
        place = made(tmp_path / str(perturbed), perturbed=perturbed)
        found.append(survey(sweep_of(place), place.sources))
    changed = {name for name in found[0].splits if found[0].splits[name] != found[1].splits[name]}
    assert changed == {"test/pairs/en", "test/pairs/de"}
    assert found[0].models == found[1].models
