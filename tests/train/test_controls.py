"""Controls in training: shuffled labels teach nothing, and arms matched in rows see as many."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.train.small import Place, pair_rows
from tests.train.test_real_tasks import Real
from tests.train.test_stage import run
from xsweep.models.folder import model_print
from xsweep.plan.stage import Hyper, Stage
from xsweep.spec.sweep import Training
from xsweep.store.manifests import Manifest
from xsweep.tasks.catalog import CATALOG
from xsweep.tasks.examples import load_split
from xsweep.tasks.task import Task
from xsweep.train.data import SUBSET_SEED, Reader
from xsweep.train.live import live
from xsweep.train.part import Part
from xsweep.train.world import World


def chance(classes: int, rows: int) -> tuple[float, float]:
    """Accuracies in points within four standard errors of guessing among balanced classes."""
    mean = 1 / classes
    error = 4 * math.sqrt(mean * (1 - mean) / rows)
    return 100 * (mean - error), 100 * (mean + error)


def within(score: float, classes: int, rows: int) -> bool:
    low, high = chance(classes, rows)
    return low <= score <= high


def test_a_permuted_label_canary(place: Place) -> None:
    """The same code, rows and steps: with true labels the task is learned, with shuffled ones it stays at chance."""
    place.data("many", pair_rows, train=320, dev=400)
    task = place.task("many")
    true = place.stage(task, place.model(), hyper=Hyper(5e-3, 4), kind="intermediate")
    (learned,) = run(place.context(), true)
    assert (learned.status, learned.metrics["score"] > 85) == ("ok", True)
    (blind,) = run(place.context(), replace(true, shuffled=True))
    assert within(blind.metrics["score"], 2, 400)
    assert blind.spec["shuffled"]
    for name in ("steps", "tokens", "train_examples", "dropped"):
        assert blind.metrics[name] == learned.metrics[name], "the same work"


def test_a_canary_on_real_rows(tmp_path: Path, shared: Path) -> None:
    """XNLI's own rows: a model that is trained on permuted labels knows nothing of its English held-out rows."""
    rows = Real(tmp_path, shared)
    rows.copy("facebook--xnli/en/validation", slice(0, 600), "facebook--xnli/en/some")
    rows.copy("facebook--xnli/en/test", slice(0, 900), "facebook--xnli/en/held")
    english = CATALOG["xnli"].selection[0]
    parts = {"train": "some", "selection": "held"}
    declared = {part: (english.model_copy(update={"split": split}),) for part, split in parts.items()}
    task = CATALOG["xnli"].model_copy(update={**declared, "max_length": 128})
    texts = load_split(task, "train", rows.sources).examples
    rows.characters(f"{example.first}{example.second}" for example in texts)
    stage = rows.stage(task, rows.model(), training=Training(batch_size=32), hyper=Hyper(3e-3, 3), shuffled=True)
    (manifest,) = run(rows.context(), stage)
    assert manifest.metrics["train_examples"] == 600
    assert within(manifest.metrics["score"], 3, 900)


@pytest.mark.parametrize(("name", "form"), [("spans", "span"), ("choices", "choice"), ("tags", "tag")])
def test_other_formats_learn_nothing_from_shuffled_labels(place: Place, name: str, form: str) -> None:
    task = place.task(name, form)
    true = place.stage(task, place.model(), hyper=Hyper(1e-2, 3), kind="intermediate")
    scores = []
    for number in range(2):
        (manifest,) = run(place.context(), replace(true, shuffled=bool(number)))
        scores.append(manifest.metrics["score"])
    # Chance is a third of the choices; few answers and spans of words are hit by accident.
    assert scores[0] > 90
    assert scores[1] < (34 + 4 * 7 if form == "choice" else 40)


def test_labels_are_shuffled_the_same_for_every_seed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def spied(network: Any, form: str, features: Any, *rest: Any) -> Part:
        seen.append(features.targets)
        return Part(network, form, features, *rest)

    monkeypatch.setattr("xsweep.train.material.Part", spied)
    task, model = place.task("others"), place.model()
    for seed in (1, 2):
        run(place.context(), place.stage(task, model, seed=seed, hyper=Hyper(1e-3, 1), shuffled=True))
    run(place.context(), place.stage(task, model, hyper=Hyper(1e-3, 1)))
    assert np.array_equal(seen[0], seen[1])
    assert not np.array_equal(seen[0], seen[2])
    assert np.bincount(seen[0]).tolist() == np.bincount(seen[2]).tolist()


# Matched in rows


def reader(place: Place, *tasks: Task) -> Reader:
    """What a stage over ``tasks`` reads with."""
    model = place.model()
    base = live(place.mirror / "made--bert", model_print(model, place.sources), Training(), World.single())
    prints: dict[str, str] = {}
    for task in tasks:
        prints |= place.stage(task, model).prints
    return Reader(place.sources, base.tokenizer, base.tokenizer_print, prints)


def test_subsets_are_nested_and_questions_count_not_windows(place: Place) -> None:
    pairs, spans = place.task("pairs"), place.task("spans", "span", max_length=16)
    reading = reader(place, pairs, spans)
    for task in (pairs, spans):
        rows = []
        for count in (5, 20, 50, 64):
            part = reading.part((task,), "train", count)
            assert part.count == count == len(set(part.features.example.tolist()))
            rows.append([example.uid for example in part.examples])
        assert all(set(few) < set(many) for few, many in pairwise(rows))
        assert all(few == [uid for uid in many if uid in few] for few, many in pairwise(rows))
    assert len(reading.part((spans,), "train", 50).features) > 50, "a question may have several windows"
    assert SUBSET_SEED == 0, "no subset depends on the stage's seed"


def test_arms_of_equal_examples_see_as_many_rows(place: Place) -> None:
    """Pairs, questions and a mixture: each trains on as many examples, whatever the seed."""

    def trained(tasks: tuple[Task, ...], seed: int) -> Manifest:
        stages = [place.stage(task, place.model(), seed=seed, hyper=Hyper(1e-3, 1), examples=24) for task in tasks]
        prints = {name: known for stage in stages for name, known in stage.prints.items()}
        whole: Stage = replace(stages[0], tasks=tasks, prints=prints)
        return run(place.context(), whole)[0]

    arms = [(place.task("pairs"),), (place.task("spans", "span"),), (place.task("others"), place.task("pairs"))]
    assert {trained(tasks, seed).metrics["train_examples"] for tasks in arms for seed in (1, 2)} == {24}
    one, other = (reader(place, *arms[0]).part(arms[0], "train", 24).examples for _ in range(2))
    assert one == other
