"""Whole stages on tiny models: from a job to what lies in the store."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from tests.train.small import Place, run_job
from xsweep.errors import DataError, EnvironmentProblem, UsageError
from xsweep.models.folder import count_params
from xsweep.plan.stage import Hyper, Job, Stage
from xsweep.spec.sweep import Training
from xsweep.store.manifests import Manifest
from xsweep.store.store import Store
from xsweep.train.loop import Progress
from xsweep.train.stage import Context
from xsweep.train.world import World


def run(context: Context, *stages: Stage, keep: tuple[Stage, ...] = ()) -> list[Manifest]:
    job = Job(stages, frozenset(stage.key for stage in keep))
    answer = run_job(job, context, World.single())
    assert [entry["key"] for entry in answer] == [stage.key for stage in stages]
    return [manifest_of(context, stage) for stage in stages]


def weights(context: Context, stage: Stage) -> dict[str, torch.Tensor]:
    return load_file(Store(context.store).weights(stage.key) / "model.safetensors")


def manifest_of(context: Context, stage: Stage) -> Manifest:
    manifest = Store(context.store).manifest(stage.key)
    assert manifest is not None
    return manifest


def test_a_pair_task_is_learned(place: Place) -> None:
    stage = place.stage(place.task("pairs"), place.model(), hyper=Hyper(5e-3, 6))
    seen: list[Progress] = []
    job, context = Job((stage, place.evaluate(stage))), place.context()
    answer = run_job(job, context, World.single(), seen.append)
    assert [entry["status"] for entry in answer] == ["ok", "ok"]
    assert answer[0]["score"] > 75
    assert sum(step.loss for step in seen[-20:]) < 0.6 * sum(step.loss for step in seen[:20])
    assert [step.step for step in seen] == list(range(1, 121))
    assert {step.steps for step in seen} == {120}
    manifest = manifest_of(context, stage)
    assert [row["epoch"] for row in manifest.metrics["dev"]] == [1, 2, 3, 4, 5, 6]
    assert manifest.metrics["score"] == manifest.metrics["dev"][-1]["accuracy"] == answer[0]["score"]
    assert manifest.metrics["train_examples"] == 160
    assert manifest.metrics["tokens"] == seen[-1].tokens
    assert manifest.metrics["params"] == count_params(place.mirror / "made--bert")
    assert manifest.layout == {"world": 1, "tokens": 4096, "threads": 1, "device": "cpu"}
    assert set(manifest.versions) >= {"torch", "transformers", "xsweep"}
    assert not manifest.weights
    assert not (Store(context.store).folder(stage.key) / "work").exists()


def test_a_span_task_is_learned_and_scored_in_each_language(place: Place) -> None:
    stage = place.stage(place.task("spans", "span"), place.model(), hyper=Hyper(1e-2, 3))
    scored = place.evaluate(stage, score_examples=15)
    context = place.context(tokens=300)
    trained, tested = run(context, stage, scored)
    assert trained.status == "ok"
    assert trained.metrics["score"] > 90
    assert trained.metrics["dev"][-1]["loss"] < trained.metrics["dev"][0]["loss"]
    assert set(tested.metrics["test"]) == {"en", "de"}
    for language, row in tested.metrics["test"].items():
        table = pq.read_table(Store(context.store).results(scored.key) / f"predictions-{language}.parquet")
        assert table.num_rows == row["n"] == 15
        assert row["f1"] == pytest.approx(100 * sum(table.column("f1").to_pylist()) / 15)
        assert row["f1"] > 90
    english, german = (
        pq.read_table(Store(context.store).results(scored.key) / f"predictions-{name}.parquet").column("id").to_pylist()
        for name in ("en", "de")
    )
    assert english == german


def test_frozen_embeddings_stay_and_are_not_written(place: Place) -> None:
    model = place.model()
    stage = place.stage(place.task("others"), model, training=Training(batch_size=8, freeze="embeddings"))
    context = place.context()
    run(context, stage, keep=(stage,))
    written = weights(context, stage)
    assert "encoder.embeddings.word_embeddings.weight" not in written
    assert "encoder.embeddings.position_embeddings.weight" in written
    assert {"head.dense.weight", "head.out.bias"} <= written.keys()
    before = load_file(place.mirror / "made--bert" / "model.safetensors")
    assert not torch.equal(written["encoder.embeddings.LayerNorm.weight"], before["embeddings.LayerNorm.weight"])
    free = replace(stage, training=Training(batch_size=8))
    run(context, free, keep=(free,))
    table = weights(context, free)["encoder.embeddings.word_embeddings.weight"]
    assert not torch.equal(table, before["embeddings.word_embeddings.weight"])


def test_a_diverged_stage_is_recorded_and_so_are_its_children(place: Place) -> None:
    task, model = place.task("others"), place.model()
    parent = place.stage(task, model, kind="intermediate", hyper=Hyper(1e38, 1))
    child = place.stage(task, model, parent=parent.key)
    context = place.context()
    first, second, third = run(context, parent, child, place.evaluate(child), keep=(parent, child))
    assert [m.status for m in (first, second, third)] == ["diverged"] * 3
    assert "not finite at step" in first.reason
    assert parent.key in second.reason
    assert first.metrics["score"] is None
    assert not first.weights
    again = run_job(Job((parent, child)), context, World.single())
    assert [entry["status"] for entry in again] == ["diverged", "diverged"]
    healthy = place.stage(task, model, hyper=Hyper(1e-3, 1))
    assert run(context, healthy)[0].status != "diverged"


def test_a_useless_model_is_degenerate_and_kept(place: Place) -> None:
    stage = place.stage(place.task("others"), place.model(), hyper=Hyper(1e-12, 1))
    (manifest,) = run(place.context(), stage, keep=(stage,))
    assert manifest.status == "degenerate"
    assert manifest.reason
    assert manifest.weights


def chain(place: Place, carry: str = "encoder") -> tuple[Stage, Stage, Stage]:
    training = Training(batch_size=8, carry=carry)
    parent = place.stage(place.task("others"), place.model(), kind="intermediate", training=training)
    child = place.stage(place.task("pairs"), place.model(), training=training, parent=parent.key, hyper=Hyper(1e-3, 1))
    return parent, child, place.evaluate(child)


@pytest.mark.parametrize("carry", ["encoder", "encoder+head"])
def test_from_the_store_is_as_from_memory(place: Place, carry: str) -> None:
    stages = chain(place, carry)
    memory, disk = place.context("memory"), place.context("disk")
    run(memory, *stages, keep=stages[:2])
    for stage in stages:
        run(disk, stage, keep=(stage,))
    for stage in stages:
        assert manifest_of(memory, stage).files == manifest_of(disk, stage).files


def test_the_head_is_carried_when_asked(place: Place) -> None:
    heads = []
    for carry in ("encoder", "encoder+head"):
        parent, child, _ = chain(place, carry)
        child = replace(child, hyper=Hyper(1e-12, 1))
        context = place.context(carry)
        run(context, parent, child, keep=(parent, child))
        saved = [weights(context, s)["head.dense.weight"] for s in (parent, child)]
        heads.append((saved[0] - saved[1]).abs().max().item())
    assert heads[0] > 1e-3
    assert heads[1] < 1e-6


def test_a_head_that_does_not_fit_is_refused(place: Place) -> None:
    training = Training(batch_size=8, carry="encoder+head")
    parent = place.stage(place.task("others"), place.model(), kind="intermediate", training=training)
    child = place.stage(place.task("spans", "span"), place.model(), training=training, parent=parent.key)
    with pytest.raises(UsageError, match=r"pair low high and span"):
        run(place.context(), parent, child)


def test_evicted_weights_are_rebuilt_the_same(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    parent, child, scored = chain(place)
    context, store = place.context(), Store(place.context().store)
    before = run(context, parent, keep=(parent,))[0]
    store.evict(parent.key)
    run(context, parent, child, scored, keep=(parent,))
    assert manifest_of(context, parent) == before
    assert store.has_weights(parent.key)
    assert "rebuilt differently" not in caplog.text
    calm = place.context("calm")
    run(calm, parent, child, scored)
    assert manifest_of(calm, scored).files == manifest_of(context, scored).files


def test_a_rebuild_that_differs_is_logged(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    stage = place.stage(place.task("others"), place.model())
    context = place.context()
    run(context, stage, keep=(stage,))
    store = Store(context.store)
    path = store.folder(stage.key) / "manifest.json"
    value = json.loads(path.read_text())
    value["metrics"]["score"] = 12.5
    path.write_text(json.dumps(value))
    store.evict(stage.key)
    with caplog.at_level(logging.WARNING):
        run(context, stage, keep=(stage,))
    assert "rebuilt differently" in caplog.text


def test_what_is_done_is_not_done_again(place: Place) -> None:
    stages = chain(place)
    context = place.context()
    run(context, *stages, keep=stages[:1])
    steps: list[Any] = []
    answer = run_job(Job(stages, frozenset({stages[0].key})), context, World.single(), steps.append)
    assert steps == []
    assert [entry["status"] for entry in answer] == [manifest_of(context, stage).status for stage in stages]
    assert answer[1]["score"] == manifest_of(context, stages[1]).metrics["score"]


def test_memory_that_runs_out_is_recorded_and_changes_no_result(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = place.stage(place.task("pairs"), place.model(), hyper=Hyper(5e-3, 2))
    whole, full = place.context("whole", tokens=400), place.context("full", tokens=400)
    calm = run(whole, stage, keep=(stage,))[0]
    monkeypatch.setenv("XSWEEP_TESTING", "1")
    monkeypatch.setenv("XSWEEP_FAILPOINT", f"start:target:{stage.model.name}:oom:300")
    with pytest.raises(torch.OutOfMemoryError):
        run(full, stage)
    (again,) = run(replace(full, layout=full.layout.halved()), stage, keep=(stage,))
    assert again.layout == {**calm.layout, "tokens": 200, "ooms": 1}
    assert again.metrics["score"] == calm.metrics["score"]
    assert again.metrics["steps"] == calm.metrics["steps"]
    for name, values in weights(whole, stage).items():
        torch.testing.assert_close(weights(full, stage)[name], values, atol=1e-5, rtol=1e-4)


def test_a_stage_goes_on_without_its_parents_weights(place: Place) -> None:
    """The parent's weights were not kept, but the child had a checkpoint: the parent is not trained again."""
    parent, child, _ = chain(place)
    calm = place.context("calm")
    run(calm, parent, child, keep=(child,))

    class Stopped(Exception): ...

    def stop(progress: Progress) -> None:
        if progress.kind == "target" and progress.step == 6:
            raise Stopped

    rough, steps = place.context("rough", checkpoint_seconds=1e-9), []
    job = Job((parent, child), frozenset({child.key}))
    with pytest.raises(Stopped):
        run_job(job, rough, World.single(), stop)
    run_job(job, rough, World.single(), lambda progress: steps.append((progress.kind, progress.step)))
    assert steps == [("target", step) for step in range(7, 21)]
    assert manifest_of(rough, child).files == manifest_of(calm, child).files


def test_swapped_label_names_turn_right_into_wrong(place: Place) -> None:
    """A canary: if labels met by number, these two runs would score the same."""
    task = place.task("pairs")
    swapped = tuple(rows.model_copy(update={"labels": ("high", "low")}) for rows in task.selection)
    scores = []
    for number, selection in enumerate((task.selection, swapped)):
        stage = place.stage(task.model_copy(update={"selection": selection}), place.model(), hyper=Hyper(5e-3, 4))
        (manifest,) = run(place.context(f"canary{number}"), stage)
        scores.append(manifest.metrics["score"])
    assert scores[0] > 65
    assert sum(scores) == pytest.approx(100)


def test_data_that_changed_since_the_plan_is_refused(place: Place) -> None:
    stage = place.stage(place.task("others"), place.model())
    changed = replace(stage, prints={**stage.prints, "train/others": "0" * 32})
    with pytest.raises(DataError, match="others train: the data has changed"):
        run(place.context(), changed)
    with pytest.raises(EnvironmentProblem, match="the model has changed"):
        run(place.context(), replace(stage, model_print="0" * 32))


def test_an_absent_parent_is_named(place: Place) -> None:
    stage = place.stage(place.task("others"), place.model(), parent="0" * 32)
    with pytest.raises(EnvironmentProblem, match="0" * 32):
        run(place.context(), stage)


def test_pooled_tasks_and_subsets(place: Place) -> None:
    tasks = (place.task("others"), place.task("pairs"))
    model = place.model()
    prints = {**place.stage(tasks[0], model).prints, **place.stage(tasks[1], model).prints}
    stage = replace(place.stage(tasks[0], model), tasks=tasks, prints=prints)
    (manifest,) = run(place.context(), stage)
    assert manifest.metrics["train_examples"] == 200
    (manifest,) = run(place.context(), replace(stage, examples=50))
    assert manifest.metrics["train_examples"] == 50
    (manifest,) = run(place.context(), replace(stage, examples=50, score_examples=10))
    table = pq.read_table(Store(place.context().store).results(manifest.key) / "predictions-dev.parquet")
    assert table.num_rows == 10
