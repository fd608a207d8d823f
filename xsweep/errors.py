"""The exceptions that a user may meet, each with the exit code of the command that ends with it.

    XsweepError
    ├── SpecError           2   the sweep file is wrong; carries every problem at once
    ├── UsageError          2   the command line asks for something that cannot be
    ├── DataError           3   a data set does not hold what the sweep needs
    ├── EnvironmentProblem  5   storage, cluster, model folder or another program is in the way
    │   └── StoreBusy       5   another driver holds the store
    └── Interrupted        75   stopped from outside; running the same command again goes on
        └── CtrlC         130   stopped by Ctrl+C

Anything else that escapes is a defect of xsweep and shows its traceback.
"""

from __future__ import annotations

from dataclasses import dataclass

COMPLETE = 0
INCOMPLETE = 4
"""Exit code of a sweep that ended with failed cells or a hole left by its budget."""


class XsweepError(Exception):
    """Base of everything that is said to the user in one plain line."""

    exit_code = 5


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong in a sweep file: ``file:line:column path: what``."""

    file: str
    line: int
    column: int
    path: str
    what: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}"
        return f"{where} {self.path}: {self.what}" if self.path else f"{where} {self.what}"


class SpecError(XsweepError):
    """A sweep file that cannot be used; ``problems`` holds all that was found, in file order."""

    exit_code = 2

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(problems)
        super().__init__("\n".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[type[SpecError], tuple[list[Problem]]]:
        return (type(self), (self.problems,))


class UsageError(XsweepError):
    """A command line that asks for something that cannot be."""

    exit_code = 2


class DataError(XsweepError):
    """A data set that does not hold what the sweep needs; names data set, split and row."""

    exit_code = 3


class EnvironmentProblem(XsweepError):
    """Storage, cluster, model folder or another program is in the way."""

    exit_code = 5


class StoreFull(EnvironmentProblem):
    """The store's disk has no room left: nothing more can be kept."""


class StoreBusy(EnvironmentProblem):
    """Another driver holds the store."""


class Interrupted(XsweepError):
    """Stopped from outside; running the same command again goes on."""

    exit_code = 75


class CtrlC(Interrupted):
    """Stopped by Ctrl+C; running the same command again goes on."""

    exit_code = 130
