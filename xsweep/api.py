"""What notebooks and scripts call: ``from xsweep import ...``. The commands of these names go the same way.

A sweep is given as its file, or as the value that ``load_sweep`` makes of it; a value that was changed in Python is not
checked again. ``store`` keeps the results: a folder, or ``s3://BUCKET/PREFIX``. ``mirrors`` are folders of data sets
and models: the hub, or those of ``$XSWEEP_MIRROR``, when left out. ``tracking`` is MLflow's address:
``$MLFLOW_TRACKING_URI``, or a file in the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from xsweep.engine.progress import Event
from xsweep.engine.run import Outcome
from xsweep.launch import Campaign
from xsweep.report.page import Report
from xsweep.spec.sweep import Sweep

if TYPE_CHECKING:
    import polars as pl


def run(
    sweep: Sweep | str | Path,
    store: str | Path = "runs",
    *,
    mirrors: Iterable[str | Path] | None = None,
    tracking: str | None = None,
    address: str | None = None,
    wait_seconds: float = 300.0,
    watch: Callable[[Event], None] = lambda _: None,
) -> tuple[Outcome, Report]:
    """Run a sweep, or go on with it, and write its report; returns how it ended, and where the report is.

    ``address`` is that of a Ray cluster, a private local one when left out; ``wait_seconds`` is how long a cluster may
    take to have room; ``watch`` is told of every event. Raises ``SpecError``, ``DataError`` and ``EnvironmentProblem``
    for what is wrong with file, data or machine, and ``Interrupted`` when stopped; the same call then goes on.
    """
    return Campaign.of(sweep, store, mirrors, tracking).launch(address, watch, wait_seconds)


def read_runs(
    sweep: Sweep | str | Path,
    store: str | Path = "runs",
    *,
    mirrors: Iterable[str | Path] | None = None,
    tracking: str | None = None,
) -> pl.DataFrame:
    """Every reporting run of the sweep as it stands, one row per run, language and metric.

    The columns are ``analysis.frame.FRAME``: model, ladder, params, embedding_params, arm, family, target, group,
    same_data, repeat, seed, language, metric, primary, chance, score (points), n, status, trials, gpu_hours, dev_score.
    A planned run without a score has a row with the status ``missing``, ``failed`` or ``diverged``. What an edit of the
    file has dropped is left out. Trains nothing; raises as ``run`` does.
    """
    campaign = Campaign.of(sweep, store, mirrors, tracking)
    return campaign.frame(campaign.survey())


def write_report(
    sweep: Sweep | str | Path,
    store: str | Path = "runs",
    *,
    mirrors: Iterable[str | Path] | None = None,
    tracking: str | None = None,
) -> Report:
    """Write ``STORE/reports/NAME``: page, figures and tables of what was run so far. Trains nothing; raises as ``run``
    does."""
    campaign = Campaign.of(sweep, store, mirrors, tracking)
    return campaign.report(campaign.survey())
