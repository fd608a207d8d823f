"""Mixtures as whole stages: trained, judged by task, resumed, cut up, carried on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

from tests.train.gang import run_gang, run_here
from tests.train.small import DATA, WORDS, Place, run_job, write_model
from tests.train.test_loop import distance
from xsweep.errors import DataError, UsageError
from xsweep.plan.stage import Hyper, Job, Stage
from xsweep.spec.sweep import MaskedText, Mixture, Sampling, Training
from xsweep.store.manifests import Manifest
from xsweep.store.store import Store
from xsweep.tasks.examples import fingerprint
from xsweep.tasks.task import Data, Task
from xsweep.train.loop import Progress
from xsweep.train.stage import Context
from xsweep.train.world import World

KILL = {"XSWEEP_TESTING": "1"}
FORMS = ("pair", "span", "choice")


def text_rows(rows: int, seed: int) -> dict[str, list[str]]:
    """Every word comes twice in a row."""
    starts = [(7 * row + seed) % 60 for row in range(rows)]
    return {"text": [" ".join(f"{WORDS[n + k]} {WORDS[n + k]}" for k in range(3 + n % 5)) for n in starts]}


def matching(rows: int, seed: int) -> dict[str, list[str]]:
    words = [WORDS[(row + seed) % 60 : (row + seed) % 60 + 4] for row in range(rows)]
    return {"query": [" ".join(row) for row in words], "candidate": [" ".join(reversed(row)) for row in words]}


@pytest.fixture
def place(place: Place) -> Place:
    """The place of all, with raw text, and a model whose tokenizer has a mask."""
    if not (place.mirror / "made--masked").is_dir():
        place.data("texts", text_rows)
        place.data("matches", matching)
        masked(write_model(place.mirror / "made--masked", vocab_size=len(WORDS) + 5), "<mask>")
    return place


def masked(folder: Path, token: str) -> None:
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"mask_token": token})
    tokenizer.save_pretrained(folder)


def text(place: Place) -> Task:
    train = tuple(Data(dataset="made/texts", config=code, split="train") for code in ("en", "de"))
    held = (Data(dataset="made/texts", config="en", split="dev"),)
    fields = {"name": "texts", "family": "text", "format": "text", "metric": "accuracy", "max_length": 32}
    return Task.model_validate({**fields, "train": train, "selection": held})


def mixed(place: Place, *tasks: Task, mlm: float = 0.0, **changes: Any) -> Stage:
    """An intermediate stage of a mixture; ``mlm`` is the ratio of masked text."""
    tasks = tasks or tuple(place.task(DATA[form], form) for form in FORMS)
    declared = {name: changes.pop(name) for name in list(changes) if name in Mixture.model_fields}
    told = MaskedText(task=text(place), ratio=mlm) if mlm else None
    base = place.stage(tasks[0], place.model("masked"), kind="intermediate", **changes)
    prints = {
        f"{part}/{task.name}": fingerprint(task, part, place.sources)
        for task in tasks
        for part in ("train", "selection")
    }
    prints |= {"train/texts": fingerprint(text(place), "train", place.sources)} if told else {}
    return replace(base, tasks=tasks, prints=prints, mixture=Mixture(mlm=told, **declared))


def run(context: Context, *stages: Stage, keep: tuple[Stage, ...] = ()) -> list[Manifest]:
    run_job(Job(stages, frozenset(stage.key for stage in keep)), context, World.single())
    found = [Store(context.store).manifest(stage.key) for stage in stages]
    return [manifest for manifest in found if manifest is not None]


def trained(stage: Stage, context: Context) -> tuple[dict[str, torch.Tensor], list[float]]:
    steps: list[Progress] = []
    run_job(Job((stage,), frozenset({stage.key})), context, World.single(), steps.append)
    return weights(context, stage), [step.loss for step in steps]


def weights(context: Context, stage: Stage) -> dict[str, torch.Tensor]:
    return load_file(Store(context.store).weights(stage.key) / "model.safetensors")


def test_every_task_is_learned_and_judged_apart(place: Place) -> None:
    stage = mixed(place, place.task("pairs"), *mixed(place).tasks[1:], hyper=Hyper(5e-3, 6), mlm=0.2)
    context = place.context(tokens=1000)
    (manifest,) = run(context, stage, keep=(stage,))
    assert manifest.status == "ok"
    first, *_, last = manifest.metrics["dev"]
    own = {"pairs": "accuracy", "spans": "f1", "choices": "accuracy"}
    for name, metric in own.items():
        assert last[f"{name}/loss"] < first[f"{name}/loss"]
        table = pq.read_table(Store(context.store).results(stage.key) / f"predictions-dev-{name}.parquet")
        assert table.num_rows == 48
        assert metric in {key.split("/")[1] for key in last if key.startswith(f"{name}/")}
    assert manifest.metrics["score"] == last["mean"] == sum(last[f"{n}/{m}"] for n, m in own.items()) / 3
    assert manifest.metrics["score"] > first["mean"]
    assert {name: row["train_examples"] for name, row in manifest.metrics["tasks"].items()} == {
        "pairs": 160, "spans": 64, "choices": 64, "texts": 128,
    }  # fmt: skip
    assert manifest.metrics["train_examples"] == 160 + 64 + 64
    names = {".".join(name.split(".")[:2]) for name in weights(context, stage) if name.startswith("head")}
    assert names == {"heads.0", "heads.1", "heads.2", "heads.3"}


def test_masked_text_has_its_share_of_the_batches(place: Place) -> None:
    for ratio, share in ((0.2, 0.25), (0.5, 1.0), (0.75, 3.0)):
        stage = mixed(place, place.task("others"), mlm=ratio, hyper=Hyper(1e-3, 2))
        (manifest,) = run(place.context(), stage)
        assert manifest.metrics["steps"] == 2 * (5 + round(share * 5))
        assert manifest.metrics["tasks"]["texts"]["epoch_rows"] == 8 * round(share * 5)
        assert manifest.metrics["score"] == manifest.metrics["dev"][-1]["accuracy"]
        assert "predictions-dev.parquet" in {Path(name).name for name in manifest.files}


def test_tasks_of_one_head_keep_its_name(place: Place) -> None:
    stage = mixed(place, place.task("others"), place.task("pairs"), sampling=Sampling(shares="uniform"))
    (manifest,) = run(place.context(), stage, keep=(stage,))
    assert {name.split(".")[0] for name in weights(place.context(), stage)} == {"encoder", "head"}
    assert {row["epoch_rows"] for row in manifest.metrics["tasks"].values()} == {100}
    apart = replace(stage, mixture=Mixture(heads="task"))
    run(place.context(), apart, keep=(apart,))
    assert {name.split(".")[1] for name in weights(place.context(), apart) if "heads" in name} == {"0", "1"}


def test_weights_multiply_the_losses_of_their_tasks(place: Place) -> None:
    """At a rate of next to nothing every step's loss is what it is without weights, times the weight."""
    tasks = (place.task("others"), place.task("spans", "span"), place.task("pairs"), retrieval(place))
    hyper, told = Hyper(1e-12, 1), {"others": 0.5, "pairs": 0.5, "spans": 3.0, "matches": 0.25}
    _, plain = trained(mixed(place, *tasks, mlm=0.2, hyper=hyper), place.context("plain"))
    _, scaled = trained(mixed(place, *tasks, mlm=0.2, hyper=hyper, weights=told), place.context("scaled"))
    ratios = [round(two / one, 4) for one, two in zip(plain, scaled, strict=True)]
    counts = {ratio: ratios.count(ratio) for ratio in ratios}
    # 40 and 160 rows of one head, 64 matches, windows of contexts, and a fifth of masked text; eight a batch.
    assert counts.keys() == {0.5, 3.0, 0.25, 1.0}
    assert (counts[0.5], counts[0.25], counts[1.0]) == (25, 8, round(0.2 * len(ratios)))


def retrieval(place: Place) -> Task:
    base = place.task("matches", "span")
    fields = {"format": "retrieval", "metric": "map20", "family": "retrieval", "stride": 0}
    return Task.model_validate({**base.model_dump(), **fields})


def test_micro_batches_leave_the_training_as_it_is(place: Place) -> None:
    stage = mixed(place, hyper=Hyper(1e-3, 1), mlm=0.25, weights={"spans": 0.5})
    whole, losses = trained(stage, place.context("whole", tokens=100_000))
    parts, steps = trained(stage, place.context("cut", tokens=60))
    assert steps == pytest.approx(losses, abs=1e-5)
    assert distance(parts, whole) < 1e-4


def test_two_workers_train_as_one(place: Place, tmp_path: Path) -> None:
    stage = mixed(place, hyper=Hyper(1e-3, 1), mlm=0.25, weights={"spans": 0.5}, training=Training(batch_size=13))
    job = Job((stage,), frozenset({stage.key}))
    one, two = place.context("one", tokens=80), place.context("two", tokens=80)
    _, alone = run_here(job, one)
    _, both = run_gang(2, job, two, tmp_path)
    assert [step["loss"] for step in both] == pytest.approx([step["loss"] for step in alone], abs=1e-5)
    first, second = weights(one, stage), weights(two, stage)
    assert first.keys() == second.keys()
    assert distance(first, second) < 1e-4
    assert manifest_of(one, stage).metrics["dev"][0].keys() == manifest_of(two, stage).metrics["dev"][0].keys()


def manifest_of(context: Context, stage: Stage) -> Manifest:
    manifest = Store(context.store).manifest(stage.key)
    assert manifest is not None
    return manifest


@pytest.mark.parametrize(("workers", "step"), [(1, 2), (1, 40), (2, 3)])
def test_killed_in_mid_epoch(place: Place, tmp_path: Path, workers: int, step: int) -> None:
    """Before some heads had a batch, too: their moments begin where they would have begun."""
    training = Training(batch_size=8, dropout=0.1)
    stage = mixed(place, training=training, hyper=Hyper(1e-3, 2), mlm=0.25, sampling=Sampling(shares="uniform"))
    job = Job((stage,), frozenset({stage.key}))
    calm, rough = place.context("calm"), place.context("rough", checkpoint_seconds=1e-9)
    _, undisturbed = run_here(job, calm) if workers == 1 else run_gang(workers, job, calm, tmp_path)
    with pytest.raises((ProcessExitedException, ProcessRaisedException)):
        run_gang(workers, job, rough, tmp_path, {**KILL, "XSWEEP_FAILPOINT": f"step:{step}:kill9"})
    _, steps = run_here(job, rough) if workers == 1 else run_gang(workers, job, rough, tmp_path)
    assert [row["step"] for row in steps] == list(range(step + 1, len(undisturbed) + 1))
    assert [row["loss"] for row in steps] == [row["loss"] for row in undisturbed[step:]]
    assert manifest_of(calm, stage).files == manifest_of(rough, stage).files
    assert manifest_of(calm, stage).metrics == manifest_of(rough, stage).metrics


def test_degenerate_when_every_task_is(place: Place) -> None:
    tasks = (place.task("others"), place.task("tags", "tag"))
    (manifest,) = run(place.context(), mixed(place, *tasks, hyper=Hyper(1e-12, 1)))
    assert manifest.status == "degenerate"
    assert manifest.reason.startswith("others: ")
    assert "; tags: " in manifest.reason
    # The tags are learned, from pairs too few and too rare to be.
    (manifest,) = run(
        place.context(), mixed(place, *tasks, hyper=Hyper(1e-2, 4), weights={"others": 1e-9}, examples=70)
    )
    assert manifest.status == "ok"
    assert manifest.metrics["degenerate"].keys() == {"others"}


def test_the_head_that_fits_is_carried(place: Place) -> None:
    """From memory as from the store; of several that fit the target's own."""
    training = Training(batch_size=8, carry="encoder+head")
    tasks = (place.task("spans", "span"), place.task("others"), place.task("pairs"))
    saved = {}
    for heads, number in (("format", 1), ("task", 2)):
        parent = mixed(place, *tasks, heads=heads, training=training, hyper=Hyper(1e-3, 1))
        target = (place.task("pairs"), place.model("masked"))
        child = place.stage(*target, training=training, parent=parent.key, hyper=Hyper(1e-12, 1))
        memory, disk = place.context(f"memory-{heads}"), place.context(f"disk-{heads}")
        run(memory, parent, child, keep=(parent, child))
        run(disk, parent, keep=(parent,))
        run(disk, child, keep=(child,))
        assert manifest_of(memory, child).files == manifest_of(disk, child).files
        before, after = weights(disk, parent), weights(disk, child)
        saved[heads] = (before[f"heads.{number}.dense.weight"] - after["head.dense.weight"]).abs().max().item()
    assert max(saved.values()) < 1e-6


def test_a_head_that_is_not_among_them_is_refused(place: Place) -> None:
    training = Training(batch_size=8, carry="encoder+head")
    parent = mixed(place, training=training, hyper=Hyper(1e-3, 1))
    child = place.stage(place.task("tags", "tag"), place.model("masked"), training=training, parent=parent.key)
    with pytest.raises(UsageError, match=r"not pair low high or span or choice and tag O B-X I-X"):
        run(place.context(), parent, child)


def test_the_encoder_is_carried_by_itself(place: Place) -> None:
    parent = mixed(place, mlm=0.2, hyper=Hyper(1e-3, 1))
    child = place.stage(place.task("pairs"), place.model("masked"), parent=parent.key, hyper=Hyper(1e-3, 1))
    memory, disk = place.context("memory"), place.context("disk")
    run(memory, parent, child, keep=(child,))
    run(disk, parent, keep=(parent,))
    run(disk, child, keep=(child,))
    assert manifest_of(memory, child).files == manifest_of(disk, child).files


def test_subsets_are_taken_over_all_tasks(place: Place) -> None:
    counts = {}
    for examples in (40, 80):
        (manifest,) = run(place.context(), mixed(place, hyper=Hyper(1e-3, 1), examples=examples))
        assert manifest.metrics["train_examples"] == examples
        counts[examples] = {name: row["train_examples"] for name, row in manifest.metrics["tasks"].items()}
    assert all(counts[40][name] < counts[80][name] for name in counts[40])
    with pytest.raises(DataError, match="so few that none is of this task"):
        run(place.context(), mixed(place, examples=1))


def test_a_model_without_a_mask_is_refused(place: Place) -> None:
    from xsweep.errors import EnvironmentProblem
    from xsweep.models.folder import model_print

    stage = replace(mixed(place, mlm=0.2), model=place.model("maskless", mask=False))
    stage = replace(stage, model_print=model_print(stage.model, place.sources))
    with pytest.raises(EnvironmentProblem, match="texts: the tokenizer has no mask token"):
        run(place.context(), stage)
