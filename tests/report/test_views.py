from __future__ import annotations

import polars as pl
import pytest

from xsweep.analysis.controls import CONTROLS
from xsweep.report.views import control_rows


@pytest.mark.parametrize(("languages", "all_copying"), [(("en",), False), (("en", "de"), True)])
def test_a_control_is_compared_in_languages_other_than_english_where_there_are_any(
    languages: tuple[str, ...], all_copying: bool
) -> None:
    rows = [
        {"task": "world_nli", "language": code, "control": 60.0, "score": 50.0, "copying": True} for code in languages
    ]
    table = pl.DataFrame([{**dict.fromkeys(CONTROLS), **row} for row in rows], schema=CONTROLS)
    [shown] = control_rows(table)
    assert shown["languages"] == list(languages)
    assert shown["all_copying"] is all_copying
