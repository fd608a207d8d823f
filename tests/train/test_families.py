"""Every family through every format: alone and over two workers, which cut it and read only their own rows of it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.train.gang import run_gang, run_here
from tests.train.small import Place, choice_rows, pair_rows, span_rows, tag_rows, text_rows
from tests.train.test_retrieve import declared, match_rows
from xsweep.errors import EnvironmentProblem
from xsweep.models.families import FAMILIES
from xsweep.plan.stage import Hyper, Job, Stage
from xsweep.spec.sweep import Training

FORMS = {"pair": pair_rows, "span": span_rows, "choice": partial(choice_rows), "tag": tag_rows, "text": text_rows}
SMALL = {"train": 14, "dev": 4, "test": 4}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("families"))
    for form, rows in FORMS.items():
        place.data(form, rows, **SMALL)  # type: ignore[arg-type]
    place.data("matches", match_rows, **SMALL)
    return place


def stages(place: Place, kind: str) -> list[Stage]:
    """One stage of each format that the family can do: two steps, the second of fewer rows than workers like."""
    forms = [form for form in FORMS if not (form == "text" and FAMILIES[kind].kind == "decoder")]
    tasks = [place.task(form, form) for form in forms] + [declared(place)]
    model = place.model(kind, kind=kind)
    return [
        place.stage(task, model, training=Training(batch_size=11), hyper=Hyper(1e-5, 1), score_examples=4, examples=14)
        for task in tasks
    ]


def test_two_workers_do_as_one_with_every_family_in_every_format(house: Place, tmp_path: Path) -> None:
    job = Job(tuple(stage for kind in FAMILIES for stage in stages(house, kind)))
    _, alone = run_here(job, house.context("alone", tokens=160))
    answers, both = run_gang(2, job, house.context("both", tokens=160), tmp_path)
    assert len(answers) == 6 * len(FAMILIES) - 1
    assert {entry["status"] for entry in answers} <= {"ok", "degenerate"}
    assert len(alone) == 2 * len(answers)
    assert [step["key"] for step in both] == [step["key"] for step in alone]
    names = {stage.key: f"{stage.model.name} {stage.tasks[0].format}" for stage in job.stages}
    apart = {
        (names[one["key"]], one["step"]): (one["loss"], two["loss"])
        for one, two in zip(alone, both, strict=True)
        # Retrieval multiplies cosines by 100 before its loss, and their rounding with them.
        if two["loss"] != pytest.approx(one["loss"], rel=1e-5 if "retrieval" in names[one["key"]] else 1e-6)
    }
    assert not apart


def test_a_decoder_is_asked_for_no_hidden_tokens(house: Place) -> None:
    stage = house.stage(house.task("text", "text"), house.model("qwen3", kind="qwen3"))
    with pytest.raises(EnvironmentProblem, match="a qwen3 reads only what comes before"):
        run_here(Job((stage,)), house.context("decoder"))


def test_more_tokens_than_positions_are_refused(house: Place) -> None:
    """XLM-R has two positions fewer than its table has rows."""
    task = house.task("pair", max_length=79)
    long = house.stage(task, house.model("xlm-roberta", kind="xlm-roberta"))
    with pytest.raises(EnvironmentProblem, match="pair has a max_length of 79, but the model reads at most 78 tokens"):
        run_here(Job((long,)), house.context("long"))
    assert run_here(Job((house.stage(task, house.model("mt5", kind="mt5")),)), house.context("long"))
