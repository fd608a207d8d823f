"""What the page says that the sweep file declares."""

from __future__ import annotations

from tests.builders import sweep
from tests.plan.test_mixing import mixed
from xsweep.report.views import declared
from xsweep.spec.sweep import Halving, Lora, Training, Transfer


def test_the_report_says_it() -> None:
    of = mixed(weights={"squad": 0.5}, examples=1500)
    said = declared(of)
    assert said[0] == "multi trains on 1\N{NARROW NO-BREAK SPACE}500 rows"
    mixes = "multi mixes snli and squad by proportional sampling, one head per format"
    assert said[-1] == f"{mixes} and multiplies losses by 0.5 (squad)"


def test_what_makes_searches_cheaper_is_named() -> None:
    plain = sweep()
    search = plain.search.model_copy(
        update={"halving": Halving(), "transfer": Transfer(trials=2, power=0.5), "repeats": 2}
    )
    said = declared(plain.model_copy(update={"search": search, "train": Training(schedule="wsd")}))
    assert [text.split(",")[0].split(":")[0] for text in said[:4]] == [
        "the learning rate stays after its warm-up",
        "trials stop early",
        "each larger model of a ladder tries the best 2 configurations of the model before",
        "the search is done 2 times",
    ]


def test_a_joint_search_and_one_that_depends_on_timing_are_named() -> None:
    plain = sweep()
    search = plain.search.model_copy(update={"mode": "joint", "halving": Halving(asynchronous=True)})
    said = declared(plain.model_copy(update={"search": search}))
    assert said[0].startswith("both stages are searched at once (joint)")
    assert said[1].startswith("trials stop early, by asynchronous (ASHA) successive halving on English held-out data")
    assert said[2] == "which trials went on depended on timing, so the same sweep run again may decide otherwise"


def test_adapters_are_said() -> None:
    of = mixed()
    adapted = of.model_copy(update={"train": Training(lora=Lora(rank=8, alpha=16))})
    assert declared(adapted)[0] == "trained in every stage: adapters of rank 8 and the head alone"
