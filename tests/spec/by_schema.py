"""What the sweep file's JSON schema has to say of a file, as an editor would."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from xsweep.spec.node import Findings
from xsweep.spec.schema import sweep_schema
from xsweep.spec.yaml12 import read


@cache
def validator() -> Draft202012Validator:
    schema = sweep_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def faults(path: Path) -> list[str]:
    """What the schema has against a file that is YAML."""
    root = read(path, Findings(str(path)))
    assert root is not None
    return [error.message for error in validator().iter_errors(json.loads(json.dumps(root.plain())))]


def is_valid(values: Any) -> bool:
    return bool(validator().is_valid(json.loads(json.dumps(values))))
