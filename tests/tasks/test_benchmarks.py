from __future__ import annotations

import csv
from pathlib import Path

import pytest

from xsweep.tasks.benchmarks import BENCHMARKS, scored_as
from xsweep.tasks.catalog import CATALOG

ENTRIES = [(name, entry) for name, entries in BENCHMARKS.items() for entry in entries]


@pytest.mark.parametrize(("name", "entry"), ENTRIES, ids=[f"{name}-{entry.task}" for name, entry in ENTRIES])
def test_the_catalogue_scores_every_language_of_a_benchmark(name: str, entry: object) -> None:
    found = next(e for e in BENCHMARKS[name] if e == entry)
    known = CATALOG[found.task]
    assert len(set(found.languages)) == len(found.languages)
    assert set(found.languages) <= set(known.languages)
    assert known.metric in found.metrics
    assert scored_as(known) == found.task


def test_both_have_their_published_tasks_groups_and_numbers_of_languages(shared: Path) -> None:
    text = (shared / "design" / "reference" / "xtreme_tasks.csv").read_text()
    published = {row["task"]: row for row in csv.DictReader(text.splitlines())}
    added = {"udpos": 5, "panx": 8, "xquad": 1, "tatoeba": 5}
    groups = {"structured": "structured prediction", "qa": "question answering"}
    for name, column in (("XTREME", "in_xtreme"), ("XTREME-R", "in_xtreme_r")):
        entries = {entry.task: entry for entry in BENCHMARKS[name]}
        assert set(entries) == {task for task, row in published.items() if row[column] == "1"}
        for task, entry in entries.items():
            row = published[task]
            group = row["group"].split(" ")[0]
            assert entry.group == groups.get(group, group)
            more = added.get(task, 0) if name == "XTREME-R" else 0
            assert len(entry.languages) == int(row["n_languages"]) + more
            assert set(row["languages"].split()) <= set(entry.languages)
    assert len({code for entry in BENCHMARKS["XTREME-R"] for code in entry.languages}) == 50


def test_a_task_is_a_benchmarks_by_the_rows_it_scores() -> None:
    xnli = CATALOG["xnli"]
    own = {"name": "mine", "train": CATALOG["snli"].train, "languages": ("en", "de")}
    assert scored_as(xnli.model_copy(update=own)) == "xnli"
    other = xnli.test.model_copy(update={"split": "validation"}) if xnli.test else None
    assert scored_as(xnli.model_copy(update={"test": other})) == ""
    assert scored_as(CATALOG["mnli"]) == scored_as(CATALOG["world_nli"]) == ""
    newer = CATALOG["udpos"].model_copy(update={"elsewhere": {}})
    assert scored_as(newer) == ""  # Lithuanian, Polish, ... from where they do not lie
