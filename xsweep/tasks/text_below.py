"""What stands below a name in the source: field and constant docstrings, for those who read schemas and not code."""

from __future__ import annotations

import ast
import inspect
import textwrap
from itertools import pairwise
from types import ModuleType
from typing import Any


def text_below(of: type[Any] | ModuleType) -> dict[str, str]:
    """Name of a class's field or of a module's constant -> the text below it."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(of)))
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) and inspect.isclass(of) else tree.body
    found = {}
    for statement, below in pairwise(body):
        match statement, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str(said))),
            ):
                found[name] = inspect.cleandoc(said)
    return found
