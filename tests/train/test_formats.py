"""Multiple choice and tagging as whole stages: trained, judged, scored, and carried on."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.train.small import Place, choice_rows, run_job
from xsweep.plan.stage import Hyper, Job, Stage
from xsweep.spec.sweep import Training
from xsweep.store.manifests import Manifest
from xsweep.store.store import Store
from xsweep.tasks.catalog import CATALOG
from xsweep.tasks.examples import fingerprint
from xsweep.tasks.source import Sources
from xsweep.tasks.tag import FORMAT
from xsweep.tasks.task import Data, Task
from xsweep.train.stage import Context
from xsweep.train.world import World


def run(context: Context, *stages: Stage) -> list[Manifest]:
    run_job(Job(stages), context, World.single())
    found = [Store(context.store).manifest(stage.key) for stage in stages]
    assert None not in found
    return [manifest for manifest in found if manifest is not None]


def own_mirror(place: Place, written: Path) -> None:
    """Give the place a mirror that the test may write to, with the model of all."""
    place.mirror.unlink()
    place.mirror.mkdir()
    (place.mirror / "made--bert").symlink_to(written / "mirror" / "made--bert")


def table(context: Context, stage: Stage, name: str) -> pa.Table:
    return pq.read_table(Store(context.store).results(stage.key) / f"predictions-{name}.parquet")


def test_multiple_choice_is_learned(place: Place) -> None:
    stage = place.stage(place.task("choices", "choice"), place.model(), hyper=Hyper(1e-2, 8))
    scored, context = place.evaluate(stage), place.context(tokens=400)
    trained, tested = run(context, stage, scored)
    assert trained.status == "ok"
    assert trained.metrics["score"] > 80
    for language, row in tested.metrics["test"].items():
        found = table(context, scored, language)
        assert row["accuracy"] == 100 * sum(found["correct"].to_pylist()) / found.num_rows > 80
        assert set(found["prediction"].to_pylist()) == {0, 1, 2}


def test_few_and_many_choices_share_a_head(place: Place, written: Path) -> None:
    own_mirror(place, written)
    place.data("three", choice_rows, train=100)
    place.data("two", partial(choice_rows, choices=2))
    task = place.task("three", "choice")
    parts = {
        part: (*getattr(task, part), *getattr(place.task("two", "choice"), part)) for part in ("train", "selection")
    }
    task = task.model_copy(update=parts)
    scores, counts = [], []
    for tokens in (100_000, 150):
        stage = place.stage(task, place.model(), training=Training(batch_size=13), hyper=Hyper(1e-2, 4))
        (manifest,) = run(place.context(f"at-{tokens}", tokens=tokens), stage)
        scores.append(manifest.metrics["score"])
        counts.append(manifest.metrics["train_examples"])
    assert scores[0] == pytest.approx(scores[1], abs=3)
    assert scores[0] > 70
    assert counts == [164, 164]


def test_tagging_is_learned_over_windows(place: Place) -> None:
    stage = place.stage(place.task("tags", "tag"), place.model(), hyper=Hyper(1e-2, 4))
    scored, context = place.evaluate(stage), place.context(tokens=300)
    trained, tested = run(context, stage, scored)
    assert trained.status == "ok"
    assert trained.metrics["score"] == trained.metrics["dev"][-1]["f1"] > 90
    assert trained.metrics["dev"][0]["loss"] > trained.metrics["dev"][-1]["loss"]
    assert trained.metrics["dropped"] == {"truncated": 0}
    for language, row in tested.metrics["test"].items():
        found = table(context, scored, language)
        words = pq.read_table(place.mirror / f"made--tags/{language}/test.parquet")["tokens"].to_pylist()
        assert [len(row) for row in found["prediction"].to_pylist()] == [len(row) for row in words]
        assert max(map(len, words)) > 30  # some sentences took two windows
        assert FORMAT.score(found) == {"accuracy": row["accuracy"], "f1": row["f1"]}
        assert row["f1"] > 90


def test_a_useless_tagger_is_degenerate(place: Place) -> None:
    stage = place.stage(place.task("tags", "tag"), place.model(), hyper=Hyper(1e-12, 1))
    (manifest,) = run(place.context(), stage)
    assert manifest.status == "degenerate"


def few(task: Task, real: Sources, place: Place, rows: int = 48) -> Task:
    """``task`` on the first real rows that there are, copied into the place's mirror."""

    def copied(data: Data, split: str) -> Data:
        at = place.mirror / data.dataset.replace("/", "--") / data.config / f"{split}.parquet"
        at.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(real.table(data).slice(0, rows), at)
        return data.model_copy(update={"split": split})

    rows_of = next(data for data in (*task.train, *task.selection) if exists(data, real))
    held = next(data for data in reversed(task.selection) if exists(data, real))
    changed: dict[str, Any] = {"train": (copied(rows_of, "few"),), "selection": (copied(held, "held"),)}
    return task.model_copy(update=changed)


def exists(data: Data, real: Sources) -> bool:
    return (real.mirrors[0] / data.dataset.replace("/", "--") / data.config / f"{data.split}.parquet").is_file()


@pytest.mark.parametrize(
    "name", ["hellaswag", "cosmosqa", "commonsenseqa", "socialiqa", "copa", "xcopa", "udpos", "panx"]
)
def test_real_rows_train_and_score(place: Place, written: Path, shared: Path, tmp_path: Path, name: str) -> None:
    own_mirror(place, written)
    task = few(CATALOG[name], Sources((shared / "data",), tmp_path / "cache"), place)
    task = task.model_copy(update={"max_length": 64, "languages": ("en",), "elsewhere": {}, "test": task.selection[0]})
    stage = place.stage(task, place.model(), hyper=Hyper(1e-3, 1))
    prints = {f"test/{name}/en": fingerprint(task, "test", place.sources, "en")}
    scored = replace(stage, kind="evaluate", hyper=None, parent=stage.key, prints=prints, languages=("en",))
    trained, tested = run(place.context(), stage, scored)
    assert trained.status in ("ok", "degenerate")
    assert tested.status == "ok"
    row = tested.metrics["test"]["en"]
    assert row["n"] == 48
    assert 0 <= row[task.metric] <= 100
    assert row[task.metric] == trained.metrics["score"]


def test_ccg_trains_on_a_local_file(place: Place, written: Path) -> None:
    own_mirror(place, written)
    folder = place.mirror / "ldc--ccgbank"
    folder.mkdir()
    sentence = "w1\tNP\nw2\t(S[dcl]\\NP)/NP\nw3\tN\nw4\t.\n"
    for split, times in (("train", 40), ("validation", 12)):
        (folder / f"{split}.conll").write_text("\n".join([sentence] * times))
    stage = place.stage(CATALOG["ccg"], place.model("long", max_position_embeddings=128), hyper=Hyper(2e-2, 4))
    (trained,) = run(place.context(), stage)
    assert trained.metrics["train_examples"] == 40
    assert trained.metrics["score"] == trained.metrics["dev"][-1]["accuracy"] == 100
    assert "f1" not in trained.metrics["dev"][-1]
