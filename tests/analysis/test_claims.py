from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.analysis.planted import analysed, row, table
from xsweep.analysis.claims import CLAIMS, CONTRADICTED, OPEN, SUPPORTED, declared, disjoint, family_claims, named
from xsweep.analysis.design import Design
from xsweep.tasks.benchmarks import BENCHMARKS
from xsweep.tasks.catalog import CATALOG


def scores(arms: dict[str, float], targets: tuple[str, ...] = ("pawsx",), noise: float = 0.1) -> pl.DataFrame:
    """Each arm's gain, the same at every size, on targets of the catalogue."""
    base = table(lambda family, scale: 0.0, targets=targets, noise=noise).drop("group")
    none, one = base.filter(arm="none"), base.filter(arm="inference")
    parts = [
        one.with_columns(
            arm=pl.lit(arm),
            family=pl.lit(CATALOG[arm].family if arm in CATALOG else "mixture"),
            score=pl.col("score") + gain,
        )
        for arm, gain in arms.items()
    ]
    return pl.concat([none, *parts])


def verdicts(folder: Path, *args: Any) -> dict[str, str]:
    found = analysed(folder, scores(*args)).tables["claims"]
    assert found.schema == CLAIMS
    return dict(found.select("claim", "verdict").iter_rows())


def test_every_claim_has_a_verdict_and_its_own_name() -> None:
    names = [claim.id for claim in declared()]
    assert len(names) == len(set(names)) >= 15
    for claim in declared():
        assert (claim.region.low, claim.region.high) != (None, None)
        assert (claim.row != "") == (claim.quantity == "headline")


def test_direction_is_supported_contradicted_or_open(tmp_path: Path) -> None:
    assert verdicts(tmp_path, {"mnli": 2.0})["mnli-helps"] == SUPPORTED
    assert verdicts(tmp_path, {"mnli": -2.0})["mnli-helps"] == CONTRADICTED
    assert verdicts(tmp_path, {"mnli": 0.0}, ("pawsx",), 1.0)["mnli-helps"] == OPEN
    absent = analysed(tmp_path, scores({"mnli": 2.0})).tables["claims"]
    assert row(absent, claim="hellaswag-helps")["reason"] == "no arm is named hellaswag"


def test_an_amount_needs_all_tasks_of_its_benchmark(tmp_path: Path) -> None:
    lacking = analysed(tmp_path, scores({"squad_v2": 8.2})).tables["claims"]
    assert row(lacking, claim="squad-amount")["reason"].startswith("XTREME's tasks are not all here: no xnli")
    tasks = tuple(entry.task for entry in BENCHMARKS["XTREME"])
    for gain, verdict in ((8.2, SUPPORTED), (5.0, CONTRADICTED)):
        assert verdicts(tmp_path, {"squad_v2": gain}, tasks)["squad-amount"] == verdict


def test_no_benefit_is_an_equivalence_and_not_a_large_p(tmp_path: Path) -> None:
    for gain, noise, verdict in ((0.0, 0.1, SUPPORTED), (0.0, 3.0, OPEN), (2.0, 0.1, CONTRADICTED)):
        assert verdicts(tmp_path, {"squad_v2": gain}, ("xnli",), noise)["xnli-from-squad"] == verdict


def test_differences_of_arms_and_shares(tmp_path: Path) -> None:
    arms = {"mnli": 2.0, "mnli_mlm": 1.0, "multi": 1.0, "squad_v2": 2.0}
    found = verdicts(tmp_path, arms, ("tatoeba", "pawsx"))
    assert found["mlm-mnli"] == SUPPORTED
    assert found["multi-task-best"] == CONTRADICTED
    assert found["retrieval"] == SUPPORTED
    assert verdicts(tmp_path, {"mnli": 2.0, "qqp": -2.0}, ("tatoeba",))["retrieval"] == CONTRADICTED


def test_same_data_is_kept_out_of_claims(tmp_path: Path) -> None:
    marked = scores({"squad_v2": 3.0}, ("xquad",)).with_columns(same_data=pl.col("arm") == "squad_v2")
    found = row(analysed(tmp_path, marked).tables["claims"], claim="squad-helps")
    assert "shares training data" in found["reason"]


@pytest.mark.parametrize("count", [3, 4])
def test_a_family_needs_four_arms_without_common_data(tmp_path: Path, count: int) -> None:
    base = table(lambda family, scale: 1.0, noise=0.1)
    parts = [base.filter(arm="none")]
    for family in ("inference", "questions"):
        own = base.filter(arm=family)
        parts += [own.with_columns(arm=pl.lit(f"{family}-{number}")) for number in range(count)]
    found = analysed(tmp_path, pl.concat(parts))
    claim = row(found.tables["claims"], claim="qa-over-nli-with-size")
    assert family_claims(found.design) == (count == 4)
    if count == 4:
        assert claim["text"] == "The gain from QA grows more with size than that from NLI"
        assert named(found.design, "nli") == "NLI"
    else:
        assert "questions-0, questions-1 and questions-2" in claim["text"]
        assert "data-disjoint arms: 3 of nli, 3 of qa, 4 of each are needed" in claim["reason"]


def test_arms_on_common_data_are_not_counted_twice() -> None:
    sources = {"mnli": frozenset("a"), "anli": frozenset("ab"), "snli": frozenset("c")}
    design = Design((), dict.fromkeys(sources, "nli"), {}, {}, (1,), sources=sources)
    assert disjoint(design, "nli") == 2
