"""What each lever takes off the price, on a sweep whose arithmetic fits on one hand."""

from __future__ import annotations

from typing import Any

import pytest

from tests.builders import space, sweep, target_task, task
from xsweep.models.model import Model
from xsweep.plan.cells import build_plan
from xsweep.plan.levers import chain, lever_text, levers, retained
from xsweep.spec.sweep import Arm, Halving, Search, Sweep, Target, Training, Transfer


def priced(trials: int = 9, epochs: tuple[int, int] = (9, 9), train: Training | None = None, **search: Any) -> Sweep:
    """Two models of one ladder, one arm, two targets, two seeds; every row a token, 100 rows of each."""
    sized = {"rows": 100, "tokens": 1}
    models = [
        Model(name=n, id=f"org/{n}", ladder="l", params=p + 5, embedding_params=5) for n, p in (("s", 1), ("l", 2))
    ]
    goals = [target_task(name, **sized) for name in ("xnli", "pawsx")]
    return sweep(
        models=tuple(models),
        arms=(Arm(name="none"), Arm(name="nli", tasks=(task("snli", **sized),))),
        targets=tuple(Target(task=goal, languages=("en", "de"), score_examples=50) for goal in goals),
        search=Search(intermediate=space(trials, epochs), target=space(trials, epochs), **search),
        train=train or Training(),
    )


EPOCH = 6 * 100 * (1 + 2)
"""FLOPs of an epoch of any task, both models together."""
SCORING = 2 * 50 * 2 * (1 + 2)
"""FLOPs of scoring one trained model of each size in both languages."""


def test_each_line_is_what_it_says() -> None:
    found = {price.lever: price for price in levers(build_plan(priced()), None)}
    scratch = found["every pipeline from scratch"]
    # A search of the intermediate for each of two targets, and of the target for each of two arms and two targets.
    searches, reports = 9 * (2 + 4), 2 * (2 + 4)
    assert scratch.trainings == 2 * (searches + reports)
    assert (scratch.flops, scratch.scoring) == (9 * EPOCH * (searches + reports), SCORING * (8 + 9 * 4))
    shared = found["intermediates shared by targets"]
    assert shared.trainings == 2 * (9 * (1 + 4) + 2 * (1 + 4))
    english = found["trials scored on English alone"]
    assert shared.flops == english.flops == 9 * EPOCH * (9 * 5 + 2 * 5)
    assert (shared.scoring, english.scoring) == (SCORING * (8 + 9 * 4), SCORING * 8)
    assert [price.declared for price in found.values()] == [True] * 3 + [False] * 3
    assert found["halving"].flops == english.flops


def test_the_last_line_is_the_plan() -> None:
    """Of what is not shortened, trainings are the plan's own."""
    plan = build_plan(priced(transfer=Transfer(trials=3), target_per="baseline"))
    trials = sum(plan.space(cell).trials for cell in plan.searches)
    trained = len(plan.intermediates) + len(plan.cells)
    assert levers(plan, None)[-1].trainings == trials + trained


@pytest.mark.parametrize(("schedule", "again"), [("linear", 0.0), ("wsd", 0.1)])
def test_halving_and_transfer_take_their_shares(schedule: Any, again: float) -> None:
    train = Training(schedule=schedule)
    of = priced(halving=Halving(), transfer=Transfer(trials=3), train=train)
    *_, before, halved, moved = levers(build_plan(of), None)
    assert before.flops
    assert halved.flops
    assert moved.flops
    search = 9 * EPOCH * 9 * 5
    work = 9 * 1 + 3 * (3 - (1 - again) * 1) + 1 * (9 - (1 - again) * 3)
    assert before.flops - halved.flops == pytest.approx(search * (1 - work / 81))
    assert halved.trainings == 2 * ((9 + 3 + 1) * 5 + 2 * 5)
    large = search * 2 / 3
    assert moved.flops - halved.flops == pytest.approx(large * (3 / 9 - work / 81)), "each to its end"


def test_unknown_stays_unknown() -> None:
    plan = build_plan(sweep())
    assert {price.flops for price in levers(plan, None)} == {None}
    text = "\n".join(lever_text(plan, None))
    assert "unknown" in text
    assert "not used" in text


def test_the_longest_chain_and_what_is_kept() -> None:
    plain = build_plan(priced())
    assert chain(plain) == 2 + 3
    assert chain(build_plan(priced(halving=Halving()))) == 2 * 3 + 3
    assert chain(build_plan(priced(transfer=Transfer()))) == 3 + 3
    assert chain(build_plan(priced(sampler="tpe"))) == 2 * 3 + 3
    assert retained(plain, None) == 4 * (6 + 7) * (1 + 2)
    assert lever_text(plain, None)[-1].endswith("(keep: parents): 156 B.")
    large = priced().model_copy(update={"models": (Model(name="m", id="o/m", params=10**11, embedding_params=0),)})
    assert lever_text(build_plan(large), None)[-1].endswith("(keep: parents): 1.2 TB.")
    none = plain.sweep.model_copy(update={"keep": "none"})
    assert retained(build_plan(none), None) == 0
    assert retained(build_plan(sweep(models=(Model(name="m", id="o/m"),))), None) is None
