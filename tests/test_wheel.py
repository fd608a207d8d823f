"""The wheel works alone: in an environment without the checkout, with all that its commands need inside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.analysis.planted import table

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "xsweep" / "lock.txt"


def ran(*words: str | Path, cwd: Path, **environment: str) -> str:
    """What a command printed; it must end well."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(words, cwd=cwd, env=kept | environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    ran(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", out, cwd=ROOT)
    (built,) = out.glob("*.whl")
    return built


def test_it_holds_every_file_of_the_package_and_every_sweep(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    package = {path for path in (ROOT / "xsweep").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    sweeps = {f"xsweep/sweeps/{path.name}" for path in (ROOT / "sweeps").glob("*.yaml")}
    assert {str(path.relative_to(ROOT)) for path in package} | sweeps <= held
    assert {"xsweep/py.typed", "xsweep/lock.txt", "xsweep/report/page.html.j2", "xsweep/init.yaml"} <= held
    assert not [name for name in held if not name.startswith(("xsweep/", "xsweep_scaling-"))]


@pytest.mark.slow
def test_it_works_in_an_environment_of_its_own(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "venv"
    venv.create(home, with_pip=False)
    own = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    pip = [sys.executable, "-m", "pip", "--python", str(home / "bin" / "python"), "install", "--quiet", "--no-index"]
    ran(*pip, "--no-deps", "--disable-pip-version-check", wheel, cwd=tmp_path)
    # The libraries are borrowed; a checkout that is installed there is not, since a path file names no path files.
    (own / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    work = tmp_path / "work"
    work.mkdir()

    def xsweep(*words: str) -> str:
        return ran(home / "bin" / "xsweep", *words, cwd=work, HOME=str(work), XSWEEP_CACHE=str(work / "cache"))

    where = ran(home / "bin" / "python", "-c", "import xsweep; print(xsweep.__file__)", cwd=work)
    assert where.startswith(str(own))
    xsweep("init", "quickstart.yaml", "--example", "quickstart")
    assert (work / "quickstart.yaml").read_bytes() == (ROOT / "sweeps" / "quickstart.yaml").read_bytes()
    assert "54 cells, 24 studies" in xsweep("check", "quickstart.yaml")
    assert json.loads(xsweep("plan", "quickstart.yaml", "--json"))["sweep"] == "quickstart"
    assert json.loads(xsweep("schema", "sweep"))["title"] == "xsweep sweep file"
    assert "gains" in json.loads(xsweep("schema", "tables"))
    table(lambda family, scale: 1.0).write_csv(work / "scores.csv")
    xsweep("report", "--scores", "scores.csv", "--out", "out")
    assert "</html>" in (work / "out" / "report.html").read_text("utf-8")


def test_the_lock_is_within_what_the_package_allows() -> None:
    lines = [line for line in LOCK.read_text().splitlines() if not line.startswith("#")]
    locked = dict(line.split("==") for line in lines)
    assert list(locked) == sorted(locked)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    for one in map(Requirement, asked):
        assert one.specifier.contains(locked[canonicalize_name(one.name)]), one
    assert f"image: rayproject/ray:{locked['ray']}-py311-" in (ROOT / "cluster.yaml").read_text()
