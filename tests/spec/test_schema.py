"""The sweep file's JSON schema: it takes every file that loads, and refuses what an editor can know to be wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.spec.by_schema import faults, is_valid
from tests.spec.test_bad_files import cases
from xsweep.spec.load import load_sweep
from xsweep.spec.node import Findings
from xsweep.spec.schema import sweep_schema
from xsweep.spec.sweep import Sweep, Training
from xsweep.spec.yaml12 import read

ROOT = Path(__file__).resolve().parents[2]
EVERY_SHORTHAND = """
name: all
models:
  - xlmr-base
  - {name: mine, like: xlmr-base, id: org/mine}
tasks:
  - {name: near, like: mnli, train: {dataset: org/near, split: train}}
  - {name: words, family: text, format: text, metric: accuracy, train: [{dataset: org/w, split: train}],
     selection: {dataset: org/w, split: validation}}
arms:
  - none
  - near
  - {name: mnli}
  - {name: two, tasks: [mnli, squad_v1], sampling: uniform, mlm: {task: words, ratio: 0.2}, weights: {mnli: 2}}
  - {name: three, tasks: [mnli, squad_v2], sampling: {cap: 50000}, examples: 100}
  - {name: four, tasks: snli}
  - {name: longer, control: compute-matched, of: two}
targets: [xnli, {task: xquad}, {task: xcopa, languages: [zh]}]
seeds: [1, 2]
search:
  intermediate: {trials: 2, lr: 1e-5, epochs: [1, 3]}
  target: {trials: 2, lr: [1e-5, 5e-5], epochs: {low: 1, high: 3}, models: {mine: {lr: 3e-5, epochs: [2, 3]}}}
layout: {workers: auto, tokens: auto, models: {mine: {recompute: auto, workers: 2}}}
"""
PLAIN = re.compile(r"there is no such field|must be|is missing|must not be empty")
"""What is said of a value by itself. Rules between values are the loader's alone."""


@pytest.mark.parametrize(
    "path", [*ROOT.glob("sweeps/*.yaml"), ROOT / "xsweep" / "init.yaml"], ids=lambda path: path.stem
)
def test_it_takes_every_shipped_file(path: Path) -> None:
    assert faults(path) == []


def test_it_takes_every_shorthand(tmp_path: Path) -> None:
    path = tmp_path / "all.yaml"
    path.write_text(EVERY_SHORTHAND)
    assert faults(path) == []
    assert load_sweep(path).name == "all"


def test_it_refuses_most_of_what_is_wrong_by_itself(tmp_path: Path) -> None:
    plain = [of for of in cases() if any(PLAIN.match(said.split(": ", 1)[-1]) for said in of.said)]
    path, missed = tmp_path / "bad.yaml", []
    for of in plain:
        path.write_text(of.text, encoding="utf-8")
        root = read(path, Findings("bad"))
        missed += [of.name] if root is not None and is_valid(root.plain()) else []
    assert len(plain) > 80
    assert len(missed) < len(plain) / 5, missed
    assert {"unknown field", "unknown choice", "name is a number"}.isdisjoint(missed)


def test_fields_say_what_they_are() -> None:
    schema = sweep_schema()
    assert {*schema["properties"]} == {*Sweep.model_fields, "tasks"}
    training = schema["$defs"]["Training"]["properties"]
    assert {*training} == {*Training.model_fields}
    assert training["clip"]["description"] == "Largest global gradient norm."
    assert "xlmr-base" in json.dumps(schema["properties"]["models"])
