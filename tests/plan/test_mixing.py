"""Rows of each task in an epoch, and what a plan says and counts of mixtures."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import behind, sweep, target_task, task
from tests.plan.test_resolve import resolver, run_all
from tests.plan.test_stage import STAGE
from xsweep.plan.cells import build_plan
from xsweep.plan.cost import estimate
from xsweep.plan.mixing import described, head_groups, head_names, rows_each
from xsweep.plan.prints import readings
from xsweep.plan.records import collect
from xsweep.plan.show import plan_text
from xsweep.spec.sweep import Arm, MaskedText, Mixture, Sampling, Sweep, Target
from xsweep.tasks.task import Data, Task

SIZES = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.integers(1, 10**6), min_size=1, max_size=9)
SAMPLINGS = st.builds(
    Sampling,
    shares=st.just("proportional"),
    temperature=st.floats(1, 100),
    cap=st.none() | st.integers(1, 10**5),
) | st.builds(Sampling, shares=st.just("uniform"), cap=st.none() | st.integers(1, 10**5))


@given(SAMPLINGS, SIZES)
def test_shares_within_rounding(sampling: Sampling, sizes: dict[str, int]) -> None:
    each = rows_each(sampling, sizes)
    seen = {name: min(size, sampling.cap or size) for name, size in sizes.items()}
    assert sum(each.values()) == sum(seen.values())
    power = 0 if sampling.shares == "uniform" else 1 / sampling.temperature
    whole = math.fsum(count**power for count in seen.values())
    for name, count in seen.items():
        assert abs(each[name] - sum(seen.values()) * count**power / whole) < 1 + 1e-6
        assert each[name] >= 1


@given(SAMPLINGS, SIZES, st.randoms())
def test_the_order_of_tasks_is_no_matter(sampling: Sampling, sizes: dict[str, int], random: object) -> None:
    names = list(sizes)
    random.shuffle(names)  # type: ignore[attr-defined]
    assert rows_each(sampling, {name: sizes[name] for name in names}) == rows_each(sampling, sizes)


@given(SIZES)
def test_proportional_is_every_row_once(sizes: dict[str, int]) -> None:
    assert rows_each(Sampling(), sizes) == sizes


def test_samplings_by_hand() -> None:
    sizes = {"big": 900, "small": 100}
    assert rows_each(Sampling(temperature=2), sizes) == {"big": 750, "small": 250}
    assert rows_each(Sampling(shares="uniform"), sizes) == {"big": 500, "small": 500}
    assert rows_each(Sampling(cap=300), sizes) == {"big": 300, "small": 100}
    assert rows_each(Sampling(cap=400, temperature=2), sizes) == {"big": 333, "small": 167}
    assert rows_each(Sampling(shares="uniform"), {"b": 4, "a": 4, "c": 2}) == {"b": 3, "a": 4, "c": 3}


TEXT = Task(
    name="text",
    family="text",
    format="text",
    metric="accuracy",
    train=(Data(dataset="org/text", config="de", split="train"), Data(dataset="org/text", config="en", split="train")),
    selection=(Data(dataset="org/text", config="en", split="validation"),),
    tokens=50,
)
PAIR, SPAN = task("snli", rows=900, tokens=10), task("squad", family="qa", format="span", labels=(), metric="f1",
                                                     rows=100, tokens=40)  # fmt: skip


def mixed(**fields: object) -> Sweep:
    arm = Arm.model_validate({"name": "multi", "tasks": (PAIR, SPAN), **fields})
    return sweep(arms=(Arm(name="none"), arm))


def test_heads() -> None:
    other = task("qqp", labels=("same", "other"))
    stage = replace(STAGE, tasks=(PAIR, SPAN, task("mnli"), other), mixture=Mixture())
    assert head_groups(stage.payload()) == [[0, 2], [1], [3]]
    assert head_names(stage.payload()) == ["heads.0", "heads.1", "heads.2"]
    apart = replace(stage, mixture=Mixture(heads="task"))
    assert head_groups(apart.payload()) == [[0], [1], [2], [3]]
    assert head_groups(STAGE.payload()) == [[0]]
    assert head_names(STAGE.payload()) == ["head"]
    one = replace(STAGE, tasks=(PAIR, task("mnli")), mixture=Mixture(sampling=Sampling(shares="uniform")))
    assert head_names(one.payload()) == ["head"]
    text = MaskedText(task=TEXT, ratio=0.5)
    assert head_names(replace(STAGE, mixture=Mixture(mlm=text)).payload()) == ["heads.0"]


def test_the_declaration_is_in_the_key_where_there_is_one() -> None:
    text = MaskedText(task=TEXT, ratio=0.5)
    mixtures = [
        Mixture(),
        Mixture(heads="task"),
        Mixture(sampling=Sampling(shares="uniform")),
        Mixture(sampling=Sampling(temperature=2)),
        Mixture(sampling=Sampling(cap=10)),
        Mixture(weights={"snli": 0.5}),
        Mixture(mlm=text),
        Mixture(mlm=MaskedText(task=TEXT, ratio=0.25)),
        Mixture(mlm=MaskedText(task=TEXT.model_copy(update={"max_length": 64}), ratio=0.5)),
    ]
    keys = {replace(STAGE, mixture=mixture).key for mixture in mixtures}
    assert len(keys | {STAGE.key}) == len(mixtures) + 1
    assert "mixture" not in STAGE.payload()


def test_everything_it_trains_on_is_read_and_in_its_stage(tmp_path: Path) -> None:
    of = mixed(mlm={"task": TEXT, "ratio": 0.2})
    names = [reading.name for reading in readings(of)]
    assert "train/text" in names
    assert "selection/text" not in names
    at = resolver(tmp_path / "store", of)
    run_all(at)
    stage = at.intermediate(behind("small", "multi", 1))
    assert stage is not None
    assert stage.mixture == of.arms[1].mixture
    assert set(stage.prints) == {f"{p}/{t}" for p in ("train", "selection") for t in ("snli", "squad")} | {"train/text"}
    child = at.target(at.plan.cells[-1])
    assert child is not None
    assert child.mixture is None


def test_sources_of_a_mixture_are_those_of_all_its_parts(tmp_path: Path) -> None:
    """Of its raw text too."""
    shared = [("snli", True), ("squad", True), ("text", True), ("other", False)]
    targets = tuple(
        Target(task=target_task(f"on-{name}", train=(Data(dataset=f"org/{name}", split="train"),)), languages=("en",))
        for name, _ in shared
    )
    of = mixed(mlm={"task": TEXT, "ratio": 0.2}).model_copy(update={"targets": targets})
    at = resolver(tmp_path / "store", of)
    run_all(at)
    records = [record for record in collect(at) if record.arm == "multi"]
    assert {record.family for record in records} == {"mixture"}
    found = {(record.target or "", record.same_data) for record in records if record.kind == "evaluate"}
    assert found == {(f"on-{name}", same) for name, same in shared}
    assert {record.metric for record in records if record.kind == "intermediate"} == {"mean"}


def flops(of: Sweep) -> float | None:
    line = next(line for line in estimate(build_plan(of)).lines if line.stage == "intermediate")
    return None if line.flops is None else line.flops / (6 * (200 + 600) * 2 * 2)


def test_costs() -> None:
    """Tokens of an epoch: 6 x trunk x tokens, for two seeds and two epochs at most."""
    assert flops(mixed()) == pytest.approx(900 * 10 + 100 * 40)
    assert flops(mixed(sampling={"shares": "uniform"})) == pytest.approx(500 * 10 + 500 * 40)
    assert flops(mixed(sampling={"cap": 300})) == pytest.approx(300 * 10 + 100 * 40)
    assert flops(mixed(examples=100)) == pytest.approx(90 * 10 + 10 * 40)
    assert flops(mixed(mlm={"task": TEXT, "ratio": 0.2})) == pytest.approx(13_000 + 0.25 * 1000 * 50)
    unknown = TEXT.model_copy(update={"tokens": None})
    assert flops(mixed(mlm={"task": unknown, "ratio": 0.2})) is None


def test_said_in_words() -> None:
    of = mixed(
        sampling={"temperature": 2, "cap": 500}, heads="task", weights={"squad": 0.5}, mlm={"task": TEXT, "ratio": 0.2}
    )
    said = (
        "multi mixes snli and squad by proportional sampling, temperature 2, at most 500 rows each, one head per task, "
        "multiplies losses by 0.5 (squad) and takes masked text of text in 20 % of its batches"
    )
    assert described(of.arms[1]) == said
    assert f"{said}." in " ".join(plan_text(build_plan(of), None).split())
    assert described(Arm(name="nli", tasks=(PAIR,))) == ""


def test_a_study_of_another_mixture_is_another(tmp_path: Path) -> None:
    addresses = set()
    for shares in ("proportional", "uniform"):
        at = resolver(tmp_path / shares, mixed(sampling={"shares": shares}))
        study = at.study(at.plan.intermediate_search("small", "multi"))
        assert study is not None
        addresses.add(study.address)
    assert len(addresses) == 2
