"""The README's file tree is the disk's."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_the_file_tree_names_every_file_and_no_other() -> None:
    section = (ROOT / "README.md").read_text().split("## The files")[1].split("\n## ")[0]
    folders: list[str] = []
    named = set()
    for line in section.splitlines():
        found = re.match(r"( +)(\S+)", line)
        if not found:
            continue
        depth = (len(found[1]) - 4) // 2
        folders = folders[:depth]
        if found[2].endswith("/") and len(line.split()) == 1:
            folders.append(found[2])
        else:
            named.add("".join(folders) + found[2])
    package = {path for path in (ROOT / "xsweep").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    files = {str(path.relative_to(ROOT)) for path in package if path.name != "__init__.py" or path.read_text().strip()}
    assert {name for name in named if name.startswith("xsweep/")} == files
    assert all((ROOT / name).exists() for name in named)
