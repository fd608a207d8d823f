"""A mixture of real tasks and real text in several languages: a tiny model over characters, a few steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq

from tests.train.small import run_job
from tests.train.test_mixture import masked
from tests.train.test_real_tasks import Real, short
from xsweep.plan.stage import Hyper, Job
from xsweep.spec.sweep import MaskedText, Mixture, Sampling, Training
from xsweep.store.store import Store
from xsweep.tasks.catalog import CATALOG
from xsweep.tasks.examples import fingerprint, load_split
from xsweep.tasks.task import Data, Task
from xsweep.train.world import World

MASK = "\N{REPLACEMENT CHARACTER}"
LANGUAGES = ("am", "de", "en", "zh")
TEXT = Task(
    name="text",
    family="text",
    format="text",
    metric="accuracy",
    train=tuple(Data(dataset="mlm-text", config=code, split="train") for code in LANGUAGES),
    selection=(Data(dataset="mlm-text", config="en", split="train", folds=(9,)),),
    max_length=128,
)


def test_nli_qa_and_completion_with_text_of_four_languages(shared: Path, tmp_path: Path) -> None:
    rows = Real(tmp_path, shared)
    squad, multi_nli = "rajpurkar--squad/plain_text", "nyu-mll--multi_nli/default"
    rows.copy(f"{multi_nli}/validation_matched", slice(0, 60), f"{multi_nli}/train")
    rows.copy(f"{multi_nli}/validation_matched", slice(60, 90))
    rows.copy(f"{squad}/train", slice(0, 30), keep=short)
    rows.copy(f"{squad}/train", slice(40, 60), f"{squad}/validation", short)
    rows.copy("google--xquad/xquad.en/validation", slice(0, 5))
    for split in ("train", "validation"):
        rows.copy(f"Rowan--hellaswag/default/{split}", slice(0, 24))
    for code in LANGUAGES:
        rows.copy(f"mlm-text/{code}/train", slice(0, 20))
    tasks = tuple(
        CATALOG[name].model_copy(update={"max_length": 128, "stride": 32 if name == "squad_v1" else 0})
        for name in ("mnli", "squad_v1", "hellaswag")
    )
    read = [(task, part) for task in tasks for part in ("train", "selection")]
    letters = [str(example) for task, part in read for example in load_split(task, part, rows.sources).examples]  # type: ignore[arg-type]
    letters += [example.text for example in load_split(TEXT, "train", rows.sources).examples]
    rows.characters([*letters, MASK])
    masked(rows.mirror / "made--bert", MASK)
    prints = {f"{part}/{task.name}": fingerprint(task, part, rows.sources) for task, part in read}  # type: ignore[arg-type]
    prints["train/text"] = fingerprint(TEXT, "train", rows.sources)
    told = MaskedText(task=TEXT, ratio=0.25)
    mixture = Mixture(sampling=Sampling(temperature=2), weights={"squad_v1": 0.5}, mlm=told)
    stage = rows.stage(tasks[0], rows.model(), kind="intermediate", training=Training(batch_size=8))
    stage = replace(stage, tasks=tasks, prints=prints, mixture=mixture, hyper=Hyper(1e-3, 1))
    run_job(Job((stage,), frozenset({stage.key})), rows.context(), World.single())
    store = Store(rows.context().store)
    manifest = store.manifest(stage.key)
    assert manifest is not None
    assert manifest.status in ("ok", "degenerate")
    (scores,) = manifest.metrics["dev"]
    own = [scores["mnli/accuracy"], scores["squad_v1/f1"], scores["hellaswag/accuracy"]]
    assert manifest.metrics["score"] == sum(own) / 3
    sizes = {task.name: (30, 20, 24)[number] for number, task in enumerate(tasks)}
    for name, size in sizes.items():
        assert pq.read_table(store.results(stage.key) / f"predictions-dev-{name}.parquet").num_rows == size
    found = manifest.metrics["tasks"]
    assert {name: row["train_examples"] for name, row in found.items()} == {
        "mnli": 60, "squad_v1": 30, "hellaswag": 24, "text": 80,
    }  # fmt: skip
    steps = sum(-(-found[task.name]["epoch_rows"] // 8) for task in tasks)
    assert manifest.metrics["steps"] == steps + round(steps / 3) == steps + found["text"]["epoch_rows"] / 8
