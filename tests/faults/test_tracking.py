"""Rows 4, 11 and 12 for the tracking store: a shipper killed with -9, a database that is locked or damaged."""

from __future__ import annotations

import itertools
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import made_up
from tests.faults.test_killed import dies
from tests.tracking.test_sync import LAUNCH, SWEEP
from xsweep.errors import EnvironmentProblem
from xsweep.plan.records import Record
from xsweep.store.manifests import Status
from xsweep.tracking.frames import read_runs, scores_from_records
from xsweep.tracking.reader import runs
from xsweep.tracking.sync import sync

NAME = "struck"


def records() -> list[Record]:
    """Those of one cell's stages: few, since each run takes MLflow a moment."""
    return [r for r in made_up.records(SWEEP) if r.role == "report" and r.seed == 1 and r.target != "xquad"]


def ship(uri: str) -> None:
    sync(NAME, records(), uri, LAUNCH)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables and nothing in it of ours: making them takes seconds."""
    file = tmp_path_factory.mktemp("fresh") / "mlflow.db"
    sync("another", records()[:1], f"sqlite:///{file}", LAUNCH)
    return file


@pytest.mark.parametrize("at", ["tracking.begun:kill9@2", "tracking.told:kill9@1", "tracking.told:kill9@3"])
def test_a_shipper_killed_anywhere_is_brought_level(fresh: Path, tmp_path: Path, at: str) -> None:
    uri = f"sqlite:///{shutil.copyfile(fresh, tmp_path / 'mlflow.db')}"
    assert dies(ship, uri, at=at)
    ship(uri)
    told = Counter(run.tags["xsweep.key"] for run in runs(uri, NAME) if "xsweep.key" in run.tags)
    assert told == Counter(record.key for record in records())
    assert {run.status for run in runs(uri, NAME)} == {"FINISHED"}
    assert read_runs(uri, NAME).equals(scores_from_records(records()))


def failed() -> list[Record]:
    """The same stages when the scoring had failed."""
    cells: dict[tuple[str, made_up.Cell], Status] = {
        ("evaluate", ("small", arm.name, "xnli", 1)): "failed" for arm in SWEEP.arms
    }
    return [r for r in made_up.records(SWEEP, statuses=cells) if r.key in {record.key for record in records()}]


BROKEN = st.lists(
    st.tuples(st.booleans(), st.permutations(range(len(records()))), st.integers(0, len(records())), st.integers(1, 9)),
    max_size=3,
)
"""Launches that came before: whether scoring had failed then, the order of the stages, how many had ended, and at
which of the shipper's steps it was broken off."""


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(launches=BROKEN)
def test_whatever_was_told_and_broken_off_before_the_last_launch_levels_it(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory, launches: Sequence[Any]
) -> None:
    uri = f"sqlite:///{shutil.copyfile(fresh, tmp_path_factory.mktemp('level') / 'mlflow.db')}"
    for was_failed, order, ended, step in launches:
        steps, then = itertools.count(1), failed() if was_failed else records()

        def broken(_: str, steps: Iterator[int] = steps, at: int = step) -> None:
            if next(steps) == at:
                raise EnvironmentProblem("broken off")

        monkeypatch.setattr("xsweep.tracking.sync.reach", broken)
        with suppress(EnvironmentProblem):
            sync(NAME, [then[number] for number in order[:ended]], uri, LAUNCH)
    monkeypatch.setattr("xsweep.tracking.sync.reach", lambda _: None)
    ship(uri)
    told = Counter(run.tags["xsweep.key"] for run in runs(uri, NAME) if "xsweep.key" in run.tags)
    assert told == Counter(record.key for record in records())
    assert read_runs(uri, NAME).equals(scores_from_records(records()))


@pytest.mark.slow
def test_a_locked_database_is_said_and_caught_up_with(fresh: Path, tmp_path: Path) -> None:
    """MLflow waits 20 s for a lock by itself."""
    file = Path(shutil.copyfile(fresh, tmp_path / "mlflow.db"))
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(EnvironmentProblem, match="locked"):
        ship(f"sqlite:///{file}")
    other.execute("ROLLBACK")
    other.close()
    ship(f"sqlite:///{file}")
    assert read_runs(f"sqlite:///{file}", NAME).equals(scores_from_records(records()))


def test_a_damaged_database_is_one_line(fresh: Path, tmp_path: Path) -> None:
    file = Path(shutil.copyfile(fresh, tmp_path / "mlflow.db"))
    data = bytearray(file.read_bytes())
    data[:4096] = b"\x55" * 4096
    file.write_bytes(data)
    with pytest.raises(EnvironmentProblem) as caught:
        ship(f"sqlite:///{file}")
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
