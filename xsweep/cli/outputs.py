"""What commands print with ``--json``: the one contract that scripts may lean on, checked as it is printed.

``xsweep schema COMMAND`` gives each as a JSON schema. Fields may be added; none is renamed or taken away.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal

import typer
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from xsweep.engine.audit import Looked
from xsweep.engine.diff import Change
from xsweep.plan.hours import Price
from xsweep.plan.levers import Price as Lever
from xsweep.plan.power import Resolvable
from xsweep.spec.schema import DIALECT, described
from xsweep.tasks.task import Family, Task
