"""Every LaTeX table of a report compiles, where there is a LaTeX with booktabs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests import made_up
from xsweep.analysis.analyse import analyse
from xsweep.analysis.design import Design
from xsweep.analysis.frame import frame_of
from xsweep.analysis.outcomes import budgets
from xsweep.analysis.provenance import data, environment
from xsweep.report.latex import CAPTIONS, escape, latex
from xsweep.tracking.frames import scores_from_records


def has_booktabs() -> bool:
    found = shutil.which("pdflatex") and shutil.which("kpsewhich")
    return bool(found) and subprocess.run(["kpsewhich", "booktabs.sty"], capture_output=True, check=False).stdout != b""


def test_what_latex_takes_for_a_command_is_escaped() -> None:
    assert escape("a_b & 5 % of #1 {x} ~^\\$<") == (
        r"a\_b \& 5 \% of \#1 \{x\} \textasciitilde{}\textasciicircum{}\textbackslash{}\$\textless{}"
    )


@pytest.mark.skipif(not has_booktabs(), reason="no pdflatex with booktabs here")
def test_every_table_compiles(tmp_path: Path) -> None:
    sweep = made_up.sweep()
    records = made_up.records(sweep, missing=[("small", "anli", "xnli", 1)], same_data=[("squad", "xquad")])
    frame = frame_of(sweep, records, scores_from_records(records))
    tables = analyse(frame, Design.of(frame, sweep)).tables | {
        "budgets": budgets(records, sweep), "data": data(frame, records), "environment": environment(frame, records)
    }  # fmt: skip
    body = "\n\\clearpage\n".join(latex(name, tables[name]) for name in CAPTIONS)
    text = f"\\documentclass{{article}}\n\\usepackage{{booktabs}}\n\\begin{{document}}\n{body}\n\\end{{document}}\n"
    (tmp_path / "tables.tex").write_text(text)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "tables.tex"]
    made = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=120)
    assert made.returncode == 0, made.stdout[-2000:].decode(errors="replace")
    log = (tmp_path / "tables.log").read_text(errors="replace")
    assert "Missing character" not in log
    assert "undefined" not in log.lower()
