"""Opening MLflow: quietly, within a bounded time, and with its failures in plain words."""

from __future__ import annotations

import logging
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

from xsweep.errors import EnvironmentProblem

if TYPE_CHECKING:
    from mlflow import MlflowClient

PATIENCE = 4.0
"""Seconds that a tracking server has for its first answer."""

_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
"""Bounded waiting instead of MLflow's own minutes; what the user has set stands."""


def tracking_of(uri: str | None, home: Path) -> str:
    """Where MLflow keeps the runs: at ``uri``, else as ``$MLFLOW_TRACKING_URI`` says, else in a file in ``home``."""
    return uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home.resolve() / 'mlflow.db'}"


@contextmanager
def tracking(uri: str) -> Iterator[MlflowClient]:
    """A client of the store at ``uri``; what goes wrong inside leaves as ``EnvironmentProblem``."""
    for key, value in _SETTINGS.items():
        os.environ.setdefault(key, value)
    try:
        _probe(uri)
        file = sqlite_file(uri)
        if file:
            file.parent.mkdir(parents=True, exist_ok=True)
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError
    except (OSError, HTTPException, ValueError) as error:
        raise EnvironmentProblem(f"MLflow at {shown(uri)} cannot be reached: {error}") from error
    # After the import, which sets the level; errors are raised, and said in a line.
    for chatty in ("alembic", "mlflow"):
        logging.getLogger(chatty).setLevel(logging.CRITICAL)
    try:
        yield MlflowClient(tracking_uri=uri, registry_uri=uri)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise EnvironmentProblem(f"MLflow at {shown(uri)}: {first}") from error


def sqlite_file(uri: str) -> Path | None:
    """The database file of a ``sqlite:///`` address; None for any other."""
    found = re.fullmatch(r"sqlite:///(.+)", uri)
    return Path(found[1]) if found else None


def shown(uri: str) -> str:
    """``uri`` without the password that it may hold."""
    return re.sub(r"//[^/@]*@", "//", uri)


def _probe(uri: str) -> None:
    """Raise ``OSError`` when an http(s) server gives no answer; any answer at all will do."""
    if not re.match(r"https?://", uri):
        return
    # Credentials go through MLflow's own variables; urllib would take them for a part of the host's name.
    address = shown(uri).rstrip("/") + "/health"
    try:
        urllib.request.urlopen(address, timeout=PATIENCE).close()
    except urllib.error.HTTPError:
        return
