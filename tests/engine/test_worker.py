"""What a worker group does beside its jobs, without Ray."""

from __future__ import annotations

import pytest

from xsweep.engine.worker import describe


def test_reasons_fit_in_a_line_and_name_the_place() -> None:
    def bad() -> None:
        raise KeyError("two\nlines")

    with pytest.raises(KeyError) as caught:
        bad()
    assert describe(caught.value).startswith("KeyError: 'two\\nlines' (test_worker.py:")
    assert describe(ValueError()) == "ValueError"
