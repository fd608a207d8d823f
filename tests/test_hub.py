"""The pilot's data and models through a real hub protocol: equal fingerprints, and one whole cell trained equal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent

SURVEY_AND_CELL = """
import json, sys
from dataclasses import replace
from pathlib import Path
from xsweep.engine.survey import survey
from xsweep.plan.cells import Cell, build_plan
from xsweep.plan.resolve import Resolver
from xsweep.plan.stage import Hyper, Job
from xsweep.spec.load import load_sweep
from xsweep.store.store import Store
from xsweep.tasks.source import Sources
from xsweep.train.stage import Context, run_job
from xsweep.train.world import World

sweep_file, store, *mirrors = map(Path, sys.argv[1:])
sweep, sources = load_sweep(sweep_file), Sources(tuple(mirrors))
prints = survey(sweep, sources)
at = Resolver(build_plan(sweep), prints, Store(store))
for study in (at.study(cell) for level in at.plan.levels for cell in level):
    at.store.decide(study.address, {"hyper": {"lr": 3e-4, "epochs": 1}, "trials": []})
cell = Cell("e5-L2", "nli", "xnli_dev", 1, "report")
stages = [at.intermediate(cell), at.target(cell), at.evaluate(cell)]
outcomes = run_job(Job(tuple(stages)), Context(store, sources), World.single())
results = {
    f"{stage.kind}/{name}": entry["sha256"]
    for stage in stages for name, entry in at.store.manifest(stage.key).files.items()
}
print(json.dumps({"splits": prints.splits, "models": prints.models, "outcomes": outcomes, "results": results}))
"""


@pytest.fixture
def hub(shared: Path, ladder: Path, tmp_path: Path) -> Iterator[str]:
    """The address of a hub on loopback that serves the mirror and the ladder."""
    call = [
        sys.executable,
        str(shared / "tools" / "minihub.py"),
        "--data",
        str(shared / "data"),
        "--models",
        str(ladder),
    ]
    with subprocess.Popen(
        [*call, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout
        yield server.stdout.readline().strip()
        server.terminate()


def small_pilot(folder: Path) -> Path:
    """The pilot, its training sets and scored rows cut down to what a test has time for."""
    text = (ROOT / "sweeps" / "pilot.yaml").read_text()
    for before, after in [
        ("[snli_small, anli_dev], examples: 1200", "[snli_small, anli_dev], examples: 32"),
        ("examples: 400, score_examples: 300", "examples: 32, score_examples: 16"),
        ("score_examples: 150 ", "score_examples: 16 "),
    ]:
        assert text.count(before) == 1
        text = text.replace(before, after)
    path = folder / "pilot.yaml"
    path.write_text(text)
    return path


def told(folder: Path, sweep: Path, *mirrors: Path, **environment: str) -> dict[str, Any]:
    folder.mkdir()
    words = ["-c", SURVEY_AND_CELL, str(sweep), str(folder / "store"), *map(str, mirrors)]
    return dict(json.loads(python(folder, *words, **environment).splitlines()[-1]))


def python(folder: Path, *words: str, **environment: str) -> str:
    """What Python printed, with a home and caches in ``folder``."""
    own = {"HOME": str(folder), "XSWEEP_CACHE": str(folder / "cache"), "HF_HOME": str(folder / "hf")}
    told = {**os.environ, **own, **environment}
    done = subprocess.run([sys.executable, *words], env=told, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_hub_and_mirror_give_equal_fingerprints_and_an_equal_cell(
    hub: str, shared: Path, ladder: Path, tmp_path: Path
) -> None:
    sweep = small_pilot(tmp_path)
    mirrored = told(tmp_path / "mirrored", sweep, shared / "data", ladder)
    fetched = told(tmp_path / "fetched", sweep, HF_ENDPOINT=hub, HF_HUB_DISABLE_XET="1")
    assert len(mirrored["splits"]) == 19
    assert fetched["splits"] == mirrored["splits"]
    assert fetched["models"] == mirrored["models"]
    assert [outcome["status"] for outcome in mirrored["outcomes"]][-1] == "ok"
    assert fetched["outcomes"] == mirrored["outcomes"]
    assert fetched["results"] == mirrored["results"]
    assert len(mirrored["results"]) == 3 + 2 + 5, "metrics of three stages, dev predictions of two, test in 5 languages"


@pytest.mark.slow
def test_what_was_mirrored_from_the_hub_trains_an_equal_cell_without_it(
    hub: str, shared: Path, ladder: Path, tmp_path: Path
) -> None:
    sweep, there = small_pilot(tmp_path), tmp_path / "there"
    served = {"HF_ENDPOINT": hub, "HF_HUB_DISABLE_XET": "1"}
    said = python(tmp_path, "-m", "xsweep.cli", "mirror", str(sweep), str(there), **served)
    assert "19 splits and 2 models are whole." in said
    alone = told(tmp_path / "alone", sweep, there, HF_ENDPOINT="http://127.0.0.1:9")
    assert alone == told(tmp_path / "mirrored", sweep, shared / "data", ladder)
