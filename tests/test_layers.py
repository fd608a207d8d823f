"""The house keeps its shape: imports go down only, and outside libraries stay in their rooms."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent / "xsweep"
LAYERS = [
    {"errors"},
    {"store"},
    {"tasks"},
    {"models"},
    {"spec"},
    {"plan"},
    {"train"},
    {"engine"},
    {"tracking"},
    {"analysis"},
    {"report"},
    {"launch", "doctor"},
    {"api"},
    {"console"},
    {"cli"},
]
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
ROOMS = {
    "ray": {"engine"},
    "optuna": {"engine"},
    "torch": {"train", "models", "tasks", "engine"},
    "transformers": {"train", "models", "tasks"},
    "mlflow": {"tracking"},
    "polars": {"tracking", "analysis", "report"},
    "matplotlib": {"report"},
    "jinja2": {"report"},
    "typer": {"cli"},
    "rich": {"console"},
    "yaml": {"spec"},
    "datasets": {"tasks"},
    "boto3": {"store"},
    "botocore": {"store"},
}
INSIDE_ONLY = {("torch", "tasks"), ("transformers", "tasks"), ("torch", "models"), ("transformers", "models"),
               ("torch", "engine"), ("datasets", "tasks")}  # fmt: skip
"""Heavy libraries that a room may import inside functions only: its declarations stay light."""
HEAVY_FILES = {f"models/{name}.py" for name in ("adapters", "attention", "heads", "load", "segments", "weights")}
"""Files that are torch code through and through; nothing light imports them."""


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """(module, at the top level) of every import that runs; those for type checkers alone are left out."""
    tree = ast.parse(path.read_text())
    quiet = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    top = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        if id(node) in quiet:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from ((f"{node.module}.{alias.name}", id(node) in top) for alias in node.names)


FILES = sorted(ROOT.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=[str(f.relative_to(ROOT)) for f in FILES])
def test_imports_go_down_and_stay_in_their_rooms(path: Path) -> None:
    relative = path.relative_to(ROOT)
    room = relative.parts[0].removesuffix(".py")
    if room == "__init__":
        return
    for module, top in imports(path):
        head, *rest = module.split(".")
        if head == "xsweep" and rest and rest[0] in LEVEL:
            assert LEVEL[rest[0]] < LEVEL[room] or rest[0] == room, f"{relative} imports upward or sideways: {module}"
        if head in ROOMS:
            assert room in ROOMS[head], f"{relative}: {head} has no place in {room}"
            if (head, room) in INSIDE_ONLY and str(relative) not in HEAVY_FILES:
                assert not top, f"{relative}: {head} only inside functions"


def test_light_commands_load_nothing_heavy() -> None:
    code = (
        "import sys, xsweep, xsweep.spec.load, xsweep.plan.show, xsweep.cli, xsweep.cli.outputs, xsweep.spec.schema;"
        "print([m for m in ('torch', 'ray', 'mlflow', 'polars', 'transformers', 'datasets') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
