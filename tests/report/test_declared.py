"""What the page says that the sweep file declares."""

from __future__ import annotations

from tests.plan.test_mixing import mixed
from xsweep.report.views import declared
from xsweep.spec.sweep import Lora, Training


def test_the_report_says_it() -> None:
    of = mixed(weights={"squad": 0.5}, examples=1500)
    said = declared(of)
    assert said[0] == "multi trains on 1\N{NARROW NO-BREAK SPACE}500 rows"
    mixes = "multi mixes snli and squad by proportional sampling, one head per format"
    assert said[-1] == f"{mixes} and multiplies losses by 0.5 (squad)"


def test_adapters_are_said() -> None:
    of = mixed()
    adapted = of.model_copy(update={"train": Training(lora=Lora(rank=8, alpha=16))})
    assert declared(adapted)[0] == "trained in every stage: adapters of rank 8 and the head alone"
