"""All that a sweep reads, fetched into one folder for a cluster without internet. Touches data and models, never Ray.

The folder is a mirror as ``tasks/source`` reads it: ``ORG--NAME/CONFIG/SPLIT.parquet``, and ``ORG--NAME/`` with the
files of a model. A file stands under its name once it is whole, so that a fetch that was cut off goes on where it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from xsweep.engine.survey import survey
from xsweep.errors import DataError, EnvironmentProblem
from xsweep.models.fetch import fetch
from xsweep.models.model import Model
from xsweep.plan.prints import Prints, readings
from xsweep.spec.sweep import Sweep
from xsweep.store.files import guarded, write_atomic
from xsweep.tasks.examples import data_of
from xsweep.tasks.source import Sources
from xsweep.tasks.task import Data
from xsweep.tasks.world.tables import is_world

if TYPE_CHECKING:
    import pyarrow

_ORIGIN = b"xsweep"
"""Schema metadata of a file written here: the commit that its rows are of."""


@dataclass(frozen=True)
class Mirrored:
    """What a mirror came to: files of rows and models that were fetched now, those that were there, and the survey."""

    fetched: int
    there: int
    prints: Prints
    """Of all that the sweep reads, from the mirror alone; equal to those from the hub."""


def mirror(sweep: Sweep, sources: Sources, folder: Path, note: Callable[[str], None] = lambda _: None) -> Mirrored:
    """Fetch what ``sweep`` reads and ``folder`` lacks from the hub, then check the whole from the folder alone.

    Rows of another commit than the hub's are fetched again; files that were not written here are left as they are.
    ``note`` is told of each file fetched. Raises ``DataError`` with every data set that cannot be had,
    ``EnvironmentProblem`` when the hub does not answer, a model cannot be used, or ``folder`` cannot be written.
    """
    hub, faults, counts = replace(sources, mirrors=()), [], {True: 0, False: 0}
    with guarded(folder):
        folder.mkdir(parents=True, exist_ok=True)
    here = Sources((folder.resolve(),), sources.cache)
    wanted = [(data, _place(here.mirrors[0], data)) for data in _wanted(sweep)]
    for data, target in wanted:
        try:
            counts[_fetched(data, target, hub, here, note)] += 1
        except DataError as fault:
            faults.append(str(fault))
    if faults:
        raise DataError("\n".join(dict.fromkeys(faults)))
    for model in _published(sweep):
        place = here.mirrors[0] / model.id.replace("/", "--")
        counts[fetch(model, place, note)] += 1
    return Mirrored(counts[True], counts[False], survey(sweep, here, note))


def _wanted(sweep: Sweep) -> Iterator[Data]:
    """Each split that some reading of the sweep touches, once; raises ``DataError`` for two revisions of one."""
    found: dict[tuple[str, str, str], Data] = {}
    revisions: dict[str, str | None] = {}
    for reading in readings(sweep):
        for data in data_of(reading.task, reading.part, reading.language):
            if is_world(data.dataset):
                continue
            if revisions.setdefault(data.dataset, data.revision) != data.revision:
                both = f"{revisions[data.dataset] or 'main'} and {data.revision or 'main'}"
                raise DataError(f"{data.dataset}: the sweep reads the revisions {both}; a mirror holds one")
            found.setdefault((data.dataset, data.config, data.split), data)
    return iter(found.values())


def _published(sweep: Sweep) -> list[Model]:
    """Each model of the hub, once; raises ``EnvironmentProblem`` for two revisions of one."""
    found: dict[str, Model] = {}
    for model in sweep.models:
        if model.id and not is_world(model.id):
            first = found.setdefault(model.id, model)
            if first.revision != model.revision:
                both = f"{first.revision or 'main'} and {model.revision or 'main'}"
                raise EnvironmentProblem(f"{model.id}: the sweep has the revisions {both}; a mirror holds one")
    return list(found.values())


def _fetched(data: Data, target: Path, hub: Sources, here: Sources, note: Callable[[str], None]) -> bool:
    """Whether a split had to be fetched; it is in the mirror now."""
    if data.recipe or (_own(here, data) and not _commit_of(target)):
        here.state(data)  # says what is missing, where rows that no hub has are not there
        return False
    commit = str(hub.state(data)["commit"])
    if _commit_of(target) == commit:
        return False
    table = hub.table(data)
    _write(table.replace_schema_metadata({**table.schema.metadata, _ORIGIN: json.dumps({"commit": commit})}), target)
    note(f"fetched {data.dataset} {data.config} {data.split}: {table.num_rows:,} rows")
    return True


def _place(root: Path, data: Data) -> Path:
    """The file of a split; raises ``DataError`` for a name that leads out of the mirror."""
    path = root / data.dataset.replace("/", "--") / data.config / f"{data.split}.parquet"
    if ".." in path.parts or not path.is_relative_to(root) or path.parent.parent.parent != root:
        raise DataError(f"{data.dataset} {data.config} {data.split}: these names make no path in a mirror")
    return path


def _own(here: Sources, data: Data) -> bool:
    """Whether the mirror has the split already, in whatever files."""
    try:
        return bool(here.state(data))
    except DataError:
        return False


def _commit_of(path: Path) -> str | None:
    """The commit that the rows of a file are of; None for one that is not there, not whole, or not written here."""
    import pyarrow
    import pyarrow.parquet

    try:
        told = (pyarrow.parquet.read_schema(path).metadata or {}).get(_ORIGIN)
        return None if told is None else str(json.loads(told)["commit"])
    except (OSError, ValueError, KeyError, TypeError, pyarrow.ArrowException):
        return None


def _write(table: pyarrow.Table, target: Path) -> None:
    """The rows as one file, which has its name once it is whole and on the disk."""
    import pyarrow
    import pyarrow.parquet

    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table, sink, compression="zstd")
    with guarded(target):
        write_atomic(target, sink.getvalue())
