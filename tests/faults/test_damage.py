"""Row 14: weights and checkpoints cut, changed or gone. The same job mends them, and comes to the same results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.test_killed import dies, held
from tests.train.gang import run_gang, run_here
from tests.train.small import Place
from xsweep.plan.stage import Hyper, Job, Stage
from xsweep.spec.sweep import Training
from xsweep.store.store import Store

DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut at 0 %": lambda data: b"",
    "cut at 10 %": lambda data: data[: len(data) // 10],
    "cut at 50 %": lambda data: data[: len(data) // 2],
    "cut at 99 %": lambda data: data[: len(data) * 99 // 100],
    "a byte flipped": lambda data: data[:-100] + bytes([data[-100] ^ 1]) + data[-99:],
}


def harm(path: Path, how: str) -> None:
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(DAMAGE[how](path.read_bytes()))


@pytest.fixture
def stages(place: Place) -> tuple[Stage, Stage, Stage]:
    """An intermediate stage, a target that starts from it, and its scores."""
    training = Training(batch_size=32, dropout=0.1)
    first = place.stage(
        place.task("others"), place.model(), training=training, kind="intermediate", hyper=Hyper(1e-3, 1)
    )
    second = place.stage(
        place.task("pairs"), place.model(), training=training, parent=first.key, examples=64, hyper=Hyper(1e-3, 2)
    )
    return first, second, place.evaluate(second)


@pytest.mark.parametrize("how", [*DAMAGE, "missing"])
def test_damaged_weights_are_made_again_by_the_job_that_starts_from_them(
    place: Place, stages: tuple[Stage, Stage, Stage], how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)
    first, second, scores = stages
    expected = {}
    for name in ("calm", "rough"):
        context = place.context(name)
        run_here(Job((first,), frozenset({first.key})), context)
        weights = Store(context.store).folder(first.key) / "weights" / "model.safetensors"
        whole = weights.read_bytes()
        if name == "rough":
            harm(weights, how)
        run_here(Job((second, scores), frozenset({first.key}), ancestors=(first,)), context)
        assert weights.read_bytes() == whole
        expected[name] = held(context.store)
    assert expected["rough"] == expected["calm"]
    assert len(expected["rough"]) == 3


@pytest.mark.parametrize("file", ["rank-0.safetensors", "rank-0.json", "whole.json"])
@pytest.mark.parametrize("how", [*DAMAGE, "missing"])
def test_a_damaged_checkpoint_is_not_gone_on_from(
    place: Place, stages: tuple[Stage, Stage, Stage], how: str, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it was to save is computed again, from the parent's weights, not from the model as it comes."""
    monkeypatch.setattr("os.fsync", lambda _: None)
    first, second, _ = stages
    calm, rough = place.context("calm"), place.context("rough", checkpoint_seconds=1e-9)
    for context in (calm, rough):
        run_here(Job((first,), frozenset({first.key})), context)
    job = Job((second,), frozenset({second.key}), ancestors=(first,))
    run_here(job, calm)
    assert dies(run_here, job, rough, at="step:3:kill9")
    (checkpoint,) = (Store(rough.store).folder(second.key) / "work").glob("checkpoint-*")
    harm(checkpoint / file, how)
    _, steps = run_here(job, rough)
    assert [step["step"] for step in steps] == [1, 2, 3, 4], "from the start"
    assert held(rough.store) == held(calm.store)


@pytest.mark.slow
def test_two_workers_agree_on_what_is_damaged(place: Place, stages: tuple[Stage, Stage, Stage], tmp_path: Path) -> None:
    first, second, _ = stages
    calm, rough = place.context("calm"), place.context("rough", checkpoint_seconds=1e-9)
    job = Job((first, second), frozenset({first.key, second.key}))
    run_gang(2, job, calm, tmp_path)
    kill = {"XSWEEP_TESTING": "1", "XSWEEP_FAILPOINT": "step:3:kill9"}
    with pytest.raises(Exception, match=r"SIGKILL|another worker|process"):
        run_gang(2, job, rough, tmp_path, kill)
    (checkpoint,) = (Store(rough.store).folder(second.key) / "work").glob("checkpoint-*")
    harm(checkpoint / "rank-1.safetensors", "a byte flipped")
    harm(Store(rough.store).folder(first.key) / "weights" / "model.safetensors", "a byte flipped")
    _, steps = run_gang(2, job, rough, tmp_path)
    assert [step["step"] for step in steps if step["kind"] == "target"] == [1, 2, 3, 4]
    assert held(rough.store) == held(calm.store)
