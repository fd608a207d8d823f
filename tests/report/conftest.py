from __future__ import annotations

import pytest

from xsweep.report import gallery, page


@pytest.fixture(autouse=True)
def _first_figures_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages made inside a test have the curves alone: the other figures, which take most of the time, have own tests.

    Pages of wider fixtures are made before this, and have them all.
    """
    whole = gallery.plates
    curves = ("gain_vs_params", "gain_by_target")
    monkeypatch.setattr(page, "plates", lambda *given: [plate for plate in whole(*given) if plate.name in curves])
