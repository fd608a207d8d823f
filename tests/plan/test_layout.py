from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.builders import prints, sweep
from xsweep.errors import UsageError
from xsweep.models.catalog import MODELS
from xsweep.models.model import Model
from xsweep.plan.cells import build_plan
from xsweep.plan.layout import WORKERS, placement, room
from xsweep.plan.memory import predicted
from xsweep.plan.prints import Prints
from xsweep.plan.resolve import Resolver
from xsweep.plan.stage import Hyper
from xsweep.spec.sweep import Fit, Layout, Layouts, Sweep, Training
from xsweep.store.store import Store

HYPERS = (Hyper(1e-4, 1),)


def of(**layout: Any) -> Sweep:
    fields = {"gpus": 1.0, "tokens": 4096, **layout}
    return sweep(train=Training(precision="bf16"), layout=Layouts(**fields))


def laid(name: str, **layout: Any) -> tuple[int, bool]:
    found = placement(of(**layout), MODELS[name]).layout
    return found.workers, found.recompute


@pytest.mark.parametrize(
    ("name", "card", "tokens", "expected"),
    [
        ("xlmr-base", 80, 4096, (1, False)),
        ("xlmr-large", 80, 16384, (1, False)),
        ("xlmr-xl", 80, 4096, (1, True)),  # rather than two workers
        ("xlmr-xl", 141, 4096, (1, False)),
        ("xlmr-xxl", 80, 4096, (4, True)),
        ("xlmr-xxl", 141, 16384, (2, True)),
        ("xlmr-xxl", 24, 4096, (16, True)),
    ],
)
def test_the_fewest_workers_that_hold_it(name: str, card: float, tokens: int, expected: tuple[int, bool]) -> None:
    assert laid(name, gpu_memory=card, tokens=tokens) == expected


@pytest.mark.parametrize("name", [name for name, model in MODELS.items() if model.ladder != "world"])
@pytest.mark.parametrize("card", [40.0, 80.0, 141.0])
def test_what_is_chosen_fits_and_no_fewer_workers_would(name: str, card: float) -> None:
    asked, model = of(gpu_memory=card), MODELS[name]
    found = placement(asked, model)
    assert found.memory is not None
    assert found.memory.total <= room(asked)
    for workers in [count for count in WORKERS if count < found.layout.workers]:
        less = predicted(model, asked.train, workers=workers, tokens=4096, recompute=True)
        assert less is not None
        assert less.total > room(asked)


def test_what_the_file_tells_is_taken_and_for_one_model_alone() -> None:
    assert laid("xlmr-xl", workers=8) == (8, False)
    assert laid("xlmr-xl", recompute=False) == (2, False)
    assert laid("xlmr-xl", workers=1, recompute=False) == (1, False)  # it is not for us to know better
    own = {"xlmr-xxl": Fit(workers=8, tokens=8192)}
    assert laid("xlmr-xxl", models=own) == (8, True)
    assert laid("xlmr-xl", models=own) == (1, True)
    assert placement(of(models=own), MODELS["xlmr-xxl"]).layout.tokens == 8192


def test_without_gpus_or_of_an_unknown_shape_there_is_one_worker() -> None:
    assert placement(sweep(), MODELS["xlmr-xxl"]).layout == Layout()
    assert placement(sweep(), MODELS["xlmr-xxl"]).memory is None
    assert placement(of(), Model(name="m", id="m")).layout.workers == 1


def test_part_of_a_gpu_is_part_of_its_memory() -> None:
    assert laid("xlmr-large", gpus=0.5, gpu_memory=30) == (1, True)
    assert laid("xlmr-large", gpus=1.0, gpu_memory=30) == (1, False)


def test_a_model_that_fits_nowhere_is_said_to_in_one_line() -> None:
    said = r"xlmr-xxl does not fit: 21\d GB on each of 1 GPUs of 80 GB .* at 4096 tokens"
    with pytest.raises(UsageError, match=said):
        placement(of(workers=1), MODELS["xlmr-xxl"])


def test_a_job_carries_its_models_layout_and_its_key_does_not(tmp_path: Path) -> None:
    keys = []
    for told in (Layouts(), Layouts(workers=2, tokens=64, models={"large": Fit(workers=4, recompute=True)})):
        used = sweep(layout=told)
        resolver = Resolver(build_plan(used), prints(used), Store(tmp_path))
        jobs = []
        for cell in resolver.plan.levels[0]:
            study = resolver.study(cell)
            assert study is not None
            (first, *_) = [resolver.trial(study, hyper) for hyper in HYPERS]
            jobs.append(resolver.job(first))
        keys.append([job.key for job in jobs])
    assert keys[0] == keys[1]
    layouts = {job.stages[0].model.name: job.layout for job in jobs}
    assert layouts["small"] == Layout(workers=2, tokens=64)
    assert layouts["large"] == Layout(workers=4, tokens=64, recompute=True)


def test_a_folder_tells_the_shape_that_a_declaration_leaves_out() -> None:
    base = MODELS["xlmr-base"]
    assert base.shape is not None
    bare = Model(name="own", id="org/own")
    told = Prints({}, {}, {"own": {"forward": 10, "embedding": 4}}, {"own": ("xlm-roberta", base.shape)})
    filled = told.filled(bare)
    assert (filled.params, filled.embedding_params, filled.shape) == (10, 4, base.shape)
    assert replace(told, params={}, shapes={}).filled(bare) is bare
    assert told.filled(base.model_copy(update={"name": "own"})).params == base.params
