"""What the page says that the sweep file declares."""

from __future__ import annotations

from tests.plan.test_mixing import mixed
from xsweep.report.views import declared


def test_the_report_says_it() -> None:
    of = mixed(weights={"squad": 0.5}, examples=1500)
    assert declared(of) == [
        "multi trains on 1\N{NARROW NO-BREAK SPACE}500 rows",
        "multi mixes snli and squad by proportional sampling, one head per format and multiplies losses by 0.5 (squad)",
    ]
