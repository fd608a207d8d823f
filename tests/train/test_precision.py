"""bf16 with fp32 masters, recomputing, and adapters: what they change, and what they must not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.train.gang import run_gang, run_here
from tests.train.small import Place
from xsweep.errors import EnvironmentProblem
from xsweep.models.families import FAMILIES
from xsweep.models.folder import model_print
from xsweep.plan.stage import Hyper, Job, Stage
from xsweep.spec.sweep import Lora, Training
from xsweep.store.store import Store
from xsweep.train.live import live
from xsweep.train.stage import Context
from xsweep.train.world import World

LORA = Lora(rank=4, alpha=8, dropout=0.1)


def weights(context: Context, stage: Stage) -> dict[str, torch.Tensor]:
    return load_file(Store(context.store).weights(stage.key) / "model.safetensors")


@pytest.mark.parametrize("kind", FAMILIES)
def test_bf16_masters_move_by_less_than_bf16_can_show(place: Place, written: Path, kind: str, tmp_path: Path) -> None:
    place.mirror.unlink()
    place.mirror.mkdir()
    (place.mirror / "made--others").symlink_to(written / "mirror" / "made--others")
    training = Training(batch_size=20, precision="bf16")
    stage = place.stage(place.task("others"), place.model(kind, kind=kind), training=training, hyper=Hyper(1e-7, 1))
    context = place.context()
    run_here(Job((stage,), frozenset({stage.key})), context)
    base = live(place.mirror / f"made--{kind}", model_print(stage.model, place.sources), training, World.single())
    assert {parameter.dtype for parameter in base.encoder.parameters()} == {torch.bfloat16}
    assert torch.bfloat16 not in {buffer.dtype for buffer in base.encoder.buffers()}
    base.reset(0)
    table = FAMILIES[kind].table
    before = {name: value.master for name, value in base.encoder.named_parameters()}[table]  # type: ignore[attr-defined]
    after = weights(context, stage)[f"encoder.{table}"]
    assert after.dtype == torch.float32
    assert not torch.equal(before, after)
    assert torch.equal(before.bfloat16(), after.bfloat16()) or (before - after).abs().max() < 1e-6


def test_bf16_over_two_workers_is_near_bf16_alone(place: Place, tmp_path: Path) -> None:
    training = Training(batch_size=8, precision="bf16")
    stage = place.stage(place.task("others"), place.model(), training=training, hyper=Hyper(1e-3, 2))
    _, alone = run_here(Job((stage,)), place.context("one"))
    _, both = run_gang(2, Job((stage,)), place.context("two"), tmp_path)
    full = replace(stage, training=Training(batch_size=8))
    _, exact = run_here(Job((full,)), place.context("full"))
    assert [step["loss"] for step in both] == pytest.approx([step["loss"] for step in alone], rel=0.02)
    assert [step["loss"] for step in alone] == pytest.approx([step["loss"] for step in exact], rel=0.05)
    assert [step["loss"] for step in alone] != [step["loss"] for step in exact]


@pytest.mark.parametrize("workers", [1, 2])
def test_recomputing_changes_no_bit(place: Place, tmp_path: Path, workers: int) -> None:
    training = Training(batch_size=8, dropout=0.1)
    stage = place.stage(place.task("others"), place.model(), training=training, hyper=Hyper(1e-3, 1))
    job = Job((stage,), frozenset({stage.key}))
    found: list[tuple[list[float], dict[str, torch.Tensor]]] = []
    for recompute in (False, True, False):
        context = place.context(f"recompute-{len(found)}", recompute=recompute)
        _, steps = run_here(job, context) if workers == 1 else run_gang(workers, job, context, tmp_path)
        found.append(([step["loss"] for step in steps], weights(context, stage)))
    for losses, after in found[1:]:
        assert losses == found[0][0]
        assert all(torch.equal(after[name], value) for name, value in found[0][1].items())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_adapters_go_from_stage_to_stage(place: Place, tmp_path: Path, precision: str) -> None:
    training = Training(batch_size=8, lora=LORA, precision=precision, dropout=0.0)
    model = place.model()
    parent = place.stage(place.task("others"), model, kind="intermediate", training=training, hyper=Hyper(1e-2, 1))
    child = place.stage(place.task("pairs"), model, training=training, parent=parent.key, hyper=Hyper(1e-9, 1))
    job = Job((parent, child, place.evaluate(child)), frozenset({parent.key, child.key}))
    context = place.context("lora")
    run_here(job, context)
    first, second = weights(context, parent), weights(context, child)
    adapters = {name for name in first if name.startswith("encoder.")}
    assert adapters
    assert all(".lora_A." in name or ".lora_B." in name for name in adapters)
    assert all((first[name] - second[name]).abs().max() < 1e-6 for name in adapters)
    assert any(first[name].abs().max() > 1e-3 for name in adapters if ".lora_B." in name)
    again = place.context("again")
    for stage in job.stages:
        run_here(Job((stage,), frozenset({stage.key})), again)
    assert all(torch.equal(second[name], value) for name, value in weights(again, child).items())


@pytest.mark.parametrize(("precision", "near"), [("fp32", 1e-6), ("bf16", 0.02)])
def test_adapters_over_two_workers(place: Place, tmp_path: Path, precision: str, near: float) -> None:
    """A baseline, which has no stage before it, and its scores: what is frozen is in bf16, adapters are not."""
    training = Training(batch_size=8, precision=precision, lora=LORA.model_copy(update={"dropout": 0.0}))
    stage = place.stage(place.task("others"), place.model(), training=training, hyper=Hyper(1e-2, 2))
    job = Job((stage, place.evaluate(stage)), frozenset({stage.key}))
    one, two = place.context("one"), place.context("two")
    _, alone = run_here(job, one)
    answers, both = run_gang(2, job, two, tmp_path)
    assert {answer["status"] for answer in answers} <= {"ok", "degenerate"}
    assert [step["loss"] for step in both] == pytest.approx([step["loss"] for step in alone], rel=near)
    saved, other = weights(one, stage), weights(two, stage)
    assert saved.keys() == other.keys()
    assert all(value.dtype == torch.float32 for value in other.values())


def test_without_peft_one_line_says_so(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    stage = place.stage(place.task("others"), place.model(), training=Training(lora=LORA))
    with pytest.raises(EnvironmentProblem, match=r"`peft`, which is not installed; .*xsweep-scaling\[lora\]"):
        run_here(Job((stage,)), place.context())


def test_a_recipe_without_adapters_keeps_its_key(place: Place) -> None:
    stage = place.stage(place.task("others"), place.model())
    assert "lora" not in stage.payload()["training"]
    adapted = replace(stage, training=Training(batch_size=8, lora=LORA))
    assert adapted.payload()["training"]["lora"] == {"rank": 4, "alpha": 8.0, "dropout": 0.1}
