"""A real multilingual encoder learns inference from real English rows and carries it to every language at hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from xsweep.models.folder import model_print
from xsweep.models.model import Model
from xsweep.plan.stage import Hyper, Job, Stage
from xsweep.spec.sweep import Layout, Training
from xsweep.store.store import Store
from xsweep.tasks.catalog import CATALOG
from xsweep.tasks.examples import fingerprint
from xsweep.tasks.source import Sources
from xsweep.tasks.task import Data, Task
from xsweep.train.stage import Context, run_job
from xsweep.train.world import World

ROWS, EPOCHS, SCORED = 3000, 3, 400
CHANCE = 100 / 3
ERROR = (CHANCE * (100 - CHANCE) / SCORED) ** 0.5
"""Standard error of an accuracy at chance, in points."""


def tasks() -> tuple[Task, ...]:
    """SNLI and ANLI; and XNLI after a thousand MNLI rows: its test sets, a Korean one, the dev sets of two more."""
    kept = tuple(range(8))
    plain = {"config": "plain_text"}
    snli = tuple(Data(dataset="stanfordnlp/snli", split=split, **plain) for split in ("train", "validation"))
    anli = tuple(Data(dataset="facebook/anli", split=f"dev_r{turn}", **plain, folds=kept) for turn in (1, 2, 3))
    nli = CATALOG["snli"].model_copy(update={"name": "nli", "train": snli + anli})
    xnli = CATALOG["xnli"].model_copy(
        update={
            "train": (Data(dataset="nyu-mll/multi_nli", config="default", split="validation_matched"),),
            "selection": (Data(dataset="facebook/xnli", config="en", split="validation", folds=(0,)),),
            "languages": ("ar", "de", "el", "en", "es", "fr", "hi", "ru", "th", "tr", "ur", "vi", "zh"),
        }
    )
    korean = Data(dataset="kakaobrain/kor_nli", config="xnli", split="test")
    others = Data(dataset="facebook/xnli", config="{language}", split="validation")
    return (
        nli,
        xnli,
        xnli.model_copy(update={"name": "xnli_ko", "test": korean, "languages": ("ko",)}),
        xnli.model_copy(update={"name": "xnli_dev", "test": others, "languages": ("bg", "sw")}),
    )


def read(task: Task, sources: Sources) -> dict[str, str]:
    return {f"{part}/{task.name}": fingerprint(task, part, sources) for part in ("train", "selection")}


def scoring(trained: Stage, task: Task, sources: Sources) -> Stage:
    codes = task.languages
    prints = {f"test/{task.name}/{code}": fingerprint(task, "test", sources, code) for code in codes}
    asked = replace(trained, kind="evaluate", tasks=(task,), prints=prints, parent=trained.key, hyper=None)
    return replace(asked, languages=codes, score_examples=SCORED, examples=None)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_language_is_scored_above_chance(shared: Path, ladder: Path, tmp_path: Path) -> None:
    sources = Sources((shared / "data", ladder), tmp_path / "cache")
    model = Model(name="e5-L4", id="intfloat/multilingual-e5-small-L4", pooling="mean")
    first, *scored = tasks()
    nli = Stage(
        kind="intermediate",
        model=model,
        model_print=model_print(model, sources),
        tasks=(first,),
        prints=read(first, sources),
        training=Training(freeze="embeddings", dropout=0.1),
        seed=1,
        hyper=Hyper(3e-4, EPOCHS),
        examples=ROWS,
        score_examples=SCORED,
    )
    xnli = replace(nli, kind="target", tasks=(scored[0],), prints=read(scored[0], sources), parent=nli.key)
    stages = (nli, xnli, *(scoring(xnli, task, sources) for task in scored))
    run_job(Job(stages, layout=Layout(tokens=2048)), Context(tmp_path / "store", sources), World.single())
    scores: dict[str, float] = {}
    for stage in stages[2:]:
        manifest = Store(tmp_path / "store").manifest(stage.key)
        assert manifest is not None
        scores |= {code: row["accuracy"] for code, row in manifest.metrics["test"].items()}
    print({code: round(score, 1) for code, score in sorted(scores.items())})
    assert len(scores) == 16
    low = {code: score for code, score in scores.items() if score < CHANCE + 2 * ERROR}
    assert not low, f"not above chance by two standard errors ({2 * ERROR:.1f} points): {low}"
