"""Training the rows of the word table that occur, against training all of it: no bit differs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.train.gang import run_gang
from tests.train.small import DATA, Place, run_job
from tests.train.test_batches import ragged
from xsweep.models.heads import Network
from xsweep.models.load import load_encoder, word_table
from xsweep.plan.stage import Hyper, Job, Stage
from xsweep.spec.sweep import Training
from xsweep.store.store import Store
from xsweep.tasks.features import Noise
from xsweep.train import live, trim
from xsweep.train.loop import Progress
from xsweep.train.stage import Context
from xsweep.train.trim import Trimmed, trimmed
from xsweep.train.world import World

ROWS = 400
"""Rows of the table, of which the tokenizer knows 124."""


@contextmanager
def whole(*_: Any) -> Iterator[None]:
    yield


def run(place: Place, name: str, *stages: Stage, **layout: Any) -> tuple[dict[str, torch.Tensor], Context]:
    """The weights of the last training stage, and where everything is."""
    context = place.context(name, **layout)
    trained = [stage for stage in stages if stage.kind != "evaluate"]
    run_job(Job(stages, frozenset(stage.key for stage in trained)), context, World.single())
    return load_file(Store(context.store).weights(trained[-1].key) / "model.safetensors"), context


def differing(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> list[str]:
    assert first.keys() == second.keys()
    return [name for name in first if not torch.equal(first[name], second[name])]


@pytest.mark.parametrize("decay", [0.0, 0.01])
@pytest.mark.parametrize("clip", [0.5, 1e6])
def test_no_bit_of_any_tensor_differs(
    place: Place, decay: float, clip: float, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty steps and more, with development scores of other tokens between."""
    training = Training(batch_size=8, weight_decay=decay, clip=clip)
    model = place.model("roomy", vocab_size=ROWS)
    stage = place.stage(place.task("others"), model, training=training, hyper=Hyper(3e-3, 5))
    monkeypatch.setattr(trim, "_CHUNK", {"cpu": 1000})
    small, context = run(place, "trimmed", stage)
    assert sizes
    assert sizes[0] <= 124
    monkeypatch.setattr("xsweep.train.stage.trimmed", whole)
    dense, other = run(place, "dense", stage)
    assert len(small["encoder.embeddings.word_embeddings.weight"]) == ROWS
    assert differing(small, dense) == []
    found = [Store(at.store).manifest(stage.key).metrics for at in (context, other)]  # type: ignore[union-attr]
    assert found[0] == found[1]
    assert found[0]["steps"] >= 20


def test_in_bf16_the_masters_are_trimmed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    training = Training(batch_size=8, precision="bf16")
    stage = place.stage(place.task("others"), place.model("roomy", vocab_size=ROWS), training=training)
    small, _ = run(place, "trimmed", stage)
    monkeypatch.setattr("xsweep.train.stage.trimmed", whole)
    dense, _ = run(place, "dense", stage)
    assert small["encoder.embeddings.word_embeddings.weight"].dtype == torch.float32
    assert differing(small, dense) == []


@pytest.mark.parametrize("form", ["span", "choice", "tag"])
def test_the_next_stage_and_the_scores_see_the_whole_table(
    place: Place, form: str, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From an intermediate task, in memory, to a target of other tokens, and to test rows of others again."""
    model = place.model("roomy", vocab_size=ROWS)
    first = place.stage(place.task("others"), model, kind="intermediate", hyper=Hyper(1e-3, 1))
    second = place.stage(place.task(DATA[form], form), model, hyper=Hyper(1e-3, 1), parent=first.key)
    last = place.evaluate(second)
    small, context = run(place, "trimmed", first, second, last)
    assert len(sizes) == 2
    monkeypatch.setattr("xsweep.train.stage.trimmed", whole)
    dense, other = run(place, "dense", first, second, last)
    assert differing(small, dense) == []
    found = [Store(at.store).manifest(last.key).metrics["test"] for at in (context, other)]  # type: ignore[union-attr]
    assert found[0] == found[1]


def interrupted(place: Place) -> tuple[Stage, Context]:
    """A stage that one worker left after seven of ten steps."""
    stage = place.stage(place.task("others"), place.model("roomy", vocab_size=ROWS))

    def stop(progress: Progress) -> None:
        if progress.step == 7:
            raise KeyboardInterrupt

    context = place.context("stopped", checkpoint_seconds=1e-9)
    with pytest.raises(KeyboardInterrupt):
        run_job(Job((stage,), frozenset({stage.key})), context, World.single(), stop)
    live._LIVE.clear()
    return stage, context


def test_an_interrupted_stage_goes_on_to_the_same_bits(place: Place, sizes: list[int]) -> None:
    stage, _ = interrupted(place)
    got, _ = run(place, "stopped", stage, checkpoint_seconds=1e-9)
    assert len(sizes) == 2
    expected, _ = run(place, "straight", stage)
    assert differing(got, expected) == []


def test_two_workers_go_on_with_the_whole_table(place: Place, tmp_path: Path) -> None:
    stage, context = interrupted(place)
    _, steps = run_gang(2, Job((stage,), frozenset({stage.key})), context, tmp_path)
    assert [step["step"] for step in steps] == [8, 9, 10]
    got = load_file(Store(context.store).weights(stage.key) / "model.safetensors")
    expected, _ = run(place, "straight", stage)
    for name in (name for name in expected if expected[name].ndim > 1):
        torch.testing.assert_close(got[name], expected[name], rtol=0, atol=1e-4)


def test_after_a_stage_that_was_stopped_the_table_is_whole(place: Place) -> None:
    stage = place.stage(place.task("others"), place.model("roomy", vocab_size=ROWS))

    def stop(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_job(Job((stage,), frozenset()), place.context(), World.single(), stop)
    base = live.live(place.mirror / "made--roomy", stage.model_print, stage.training, World.single())
    assert len(word_table(base.encoder)) == ROWS
    base.reset(0)
    fresh = load_encoder(place.mirror / "made--roomy", None)
    assert all(map(torch.equal, base.encoder.parameters(), fresh.parameters()))


@pytest.mark.parametrize("why", ["nothing", "frozen", "guessed", "shared"])
def test_the_table_stays_whole_where_it_must(place: Place, why: str) -> None:
    place.model()
    encoder = load_encoder(place.mirror / "made--bert", None)
    table = word_table(encoder)
    table.requires_grad_(why != "frozen")
    network = Network(encoder, torch.nn.Identity())
    rows = replace(ragged([3, 4]), noise=Noise(4, ()) if why == "guessed" else None)
    with trimmed(network, [rows], [0, 1, 2], World(0, 2 if why == "shared" else 1, torch.device("cpu"))):
        assert len(word_table(encoder)) == (3 + 7 if why == "nothing" else len(table))
    assert word_table(encoder) is table


def test_a_token_that_was_not_kept_is_an_error() -> None:
    small = Trimmed(torch.nn.Embedding(10, 4), torch.tensor([1, 3]))
    assert small(torch.tensor([3, 1])).shape == (2, 4)
    with pytest.raises(IndexError):
        small(torch.tensor([2]))
