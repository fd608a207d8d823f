"""Small sweeps and fingerprints made by hand, for tests of the rooms that need no data."""

from __future__ import annotations

from typing import Any

from xsweep.models.model import Model, Shape
from xsweep.plan.cells import Cell
from xsweep.plan.prints import Prints, readings
from xsweep.spec.sweep import Arm, IntRange, LogUniform, Search, Space, Sweep, Target
from xsweep.store.keys import content_key
from xsweep.tasks.task import Data, Task


def task(name: str, **fields: Any) -> Task:
    rows = (Data(dataset=f"org/{name}", split="train"),)
    held = (Data(dataset=f"org/{name}", split="validation"),)
    values = {
        "family": "nli",
        "format": "pair",
        "labels": ("yes", "no"),
        "metric": "accuracy",
        "train": rows,
        "selection": held,
    }
    return Task(name=name, **{**values, **fields})


def target_task(name: str, **fields: Any) -> Task:
    test = Data(dataset=f"org/{name}", config="{language}", split="test")
    return task(name, **{"test": test, "languages": ("en", "de"), **fields})


def behind(model: str, arm: str, seed: int) -> Cell:
    """The address of the intermediate stage that an arm's targets share."""
    return Cell(model, arm, None, seed, "report")


def space(trials: int = 2, epochs: tuple[int, int] = (1, 2)) -> Space:
    return Space(trials=trials, lr=LogUniform(low=1e-5, high=1e-3), epochs=IntRange(low=epochs[0], high=epochs[1]))


def sweep(**fields: Any) -> Sweep:
    """Two models, baseline and two arms, two targets, two seeds."""
    values: dict[str, Any] = {
        "name": "tiny",
        "models": (
            Model(name="small", id="org/small", params=300, embedding_params=100),
            Model(name="large", id="org/large", params=900, embedding_params=300),
        ),
        "arms": (
            Arm(name="none"),
            Arm(name="nli", tasks=(task("snli"),)),
            Arm(name="qa", tasks=(task("squad", family="qa"),)),
        ),
        "targets": tuple(
            Target(task=target_task(name), languages=("en", "de"), score_examples=10) for name in ("xnli", "pawsx")
        ),
        "seeds": (1, 2),
        "search": Search(intermediate=space(), target=space()),
    }
    return Sweep(**{**values, **fields})


def prints(of: Sweep, **changed: str) -> Prints:
    """A made-up fingerprint for all that the sweep reads; ``changed`` overrides by reading name."""
    splits = {reading.name: changed.get(reading.name, content_key(reading.name)) for reading in readings(of)}
    shapes = {
        model.name: ("xlm-roberta", Shape(layers=2, width=32 * 2**number, ffn=64, vocabulary=100))
        for number, model in enumerate(of.models)
    }
    return Prints(splits, {model.name: content_key(model.id) for model in of.models}, shapes=shapes)
