"""The benchmark of training on real rows, at sizes of seconds: what it compares is what it says it compares."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("accelerate", reason="the benchmarks need the dependency group `bench`")

from tests.benchmarks.throughput import main


def test_the_same_batches_train_alike_and_what_is_measured_is_told(shared: Path, ladder: Path) -> None:
    places = [str(shared / "data"), str(ladder / "intfloat--multilingual-e5-small-L2")]
    rows = ["tiny:xnli", "tiny:equal", "tiny:trim"]
    found = main([*places, "--rows", *rows, "--steps", "3", "--repeats", "1"])
    found |= main([*places, "--rows", "tiny-lora:xnli", "--steps", "2", "--repeats", "1"])
    real, equal, trim, lora = (found[name] for name in ("tiny xnli", "tiny equal", "tiny trim", "tiny-lora xnli"))
    assert real["loss_apart"] <= 1e-5
    assert 1.3 < real["padded_to_real"] <= real["ceiling"] <= real["pairs"]
    assert set(real["variants"]) == {"xsweep", "longest", "loop", "grouped", "max"}
    assert real["variants"]["xsweep"]["attention"] == "blocks"
    assert real["planned"] == pytest.approx(real["peak_bytes"], rel=0.2)
    assert equal["padded_to_real"] < 1.02
    assert trim["loss_apart"] == 0.0
    assert lora["variants"]["xsweep"]["tokens_per_second"] > 0
