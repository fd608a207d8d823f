from __future__ import annotations

from dataclasses import replace

from tests import made_up
from xsweep.analysis.outcomes import budget_times, budgets, holes


def test_a_complete_sweep_has_no_holes() -> None:
    sweep = made_up.sweep()
    assert holes(made_up.records(sweep), sweep).height == 0


def test_a_hole_names_the_stage_that_broke() -> None:
    sweep = made_up.sweep()
    failed, diverged, absent = ("small", "snli", None, 2), ("large", "none", "xnli", 1), ("large", "anli", "xquad", 3)
    behind = [("small", "snli", target, 2) for target in ("xnli", "xquad")]
    records = made_up.records(
        sweep,
        missing=[*behind, absent],
        statuses={
            ("intermediate", failed): "failed",
            ("target", diverged): "diverged",
            ("evaluate", diverged): "failed",
        },
    )
    assert holes(records, sweep).rows() == [
        ("small", "snli", "xnli", 2, "intermediate", "failed", "made to end failed"),
        ("small", "snli", "xquad", 2, "intermediate", "failed", "made to end failed"),
        ("large", "none", "xnli", 1, "target", "diverged", "made to end diverged"),
        ("large", "anli", "xquad", 3, "evaluate", "not run", ""),
    ]


def test_an_undecided_cell_says_that_its_search_is_open() -> None:
    sweep = made_up.sweep()
    records = [
        replace(r, key=None, manifest=None) if (r.kind, r.arm, r.seed) == ("evaluate", "squad", 1) else r
        for r in made_up.records(sweep)
    ]
    assert set(holes(records, sweep)["reason"]) == {"a search that it depends on has no decision"}


def test_a_score_that_is_not_finite_is_a_hole() -> None:
    sweep = made_up.sweep()

    def scores(*where: object) -> float | None:
        return None if where == ("small", "snli", "xnli", 1, "sw") else 50.0

    assert holes(made_up.records(sweep, scores=scores), sweep).rows() == [
        ("small", "snli", "xnli", 1, "evaluate", "no score", "no accuracy in sw")
    ]


def test_degenerate_cells_are_no_holes() -> None:
    sweep = made_up.sweep()
    records = made_up.records(sweep, statuses={("target", ("small", "snli", "xnli", 1)): "degenerate"})
    assert holes(records, sweep).height == 0


def test_budgets_count_trials_and_say_what_was_chosen() -> None:
    sweep = made_up.sweep()
    records = made_up.records(sweep, statuses={("target", ("small", "snli", "xnli", 0)): "diverged"})
    table = budgets(records, sweep)
    assert table.height == 2 * (4 * 2 + 3)
    row = table.filter(model="small", arm="snli", target="xquad").row(0, named=True)
    assert (row["trials_planned"], row["trials_done"], row["ok"]) == (2, 2, 2)
    assert (row["dev_score"], row["lr"], row["epochs"]) == (61.0, 3e-5, 2)
    assert (row["runs_planned"], row["runs_done"]) == (3, 3)
    lost = table.filter(model="small", arm="snli", target="xnli").row(0, named=True)
    assert (lost["ok"], lost["diverged"], lost["dev_score"]) == (0, 2, None)


def test_arms_that_share_the_baselines_search_have_none_of_their_own() -> None:
    search = made_up.sweep().search.model_copy(update={"target_per": "baseline"})
    sweep = made_up.sweep(search=search)
    records = [
        r for r in made_up.records(sweep) if not (r.trial is not None and r.kind == "target" and r.arm != "none")
    ]
    table = budgets(records, sweep).filter(model="small", stage="target", target="xnli")
    assert dict(table.select("arm", "trials_planned").iter_rows()) == {"none": 2, "snli": 0, "anli": 0, "squad": 0}


def test_times_count_a_shared_stage_once() -> None:
    sweep = made_up.sweep(models=[made_up.SMALL], seeds=(1,))
    records = made_up.records(sweep)
    twice = budget_times([*records, *records])
    assert twice.equals(budget_times(records))
    row = twice.filter(arm="snli", stage="target", target="xnli", role="report").row(0, named=True)
    assert (row["stages"], row["seconds"]) == (1, 10.5)  # the rate among the timings is no time
