"""The tasks of the artificial world, declared in the words of every other task."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from xsweep.tasks.task import Data, Family, Task
from xsweep.tasks.world.frames import LABELS
from xsweep.tasks.world.grammar import TAGS
from xsweep.tasks.world.languages import ENGLISH, LANGUAGES

_TEXT = "world/text"


_Format = Literal["pair", "span", "tag"]
_FAMILIES: Mapping[_Format, Family] = {"pair": "nli", "span": "qa", "tag": "tagging"}
_LABELS: Mapping[_Format, tuple[str, ...]] = {"pair": LABELS, "span": (), "tag": TAGS}


def _task(name: str, format: _Format, rows: int, tokens: int) -> Task:
    dataset = "world/" + name.removeprefix("world_").replace("_", "-")
    return Task(
        name=name,
        family=_FAMILIES[format],
        format=format,
        labels=_LABELS[format],
        metric="f1" if format == "span" else "accuracy",
        train=(Data(dataset=dataset, config=ENGLISH, split="train"),),
        selection=(Data(dataset=dataset, config=ENGLISH, split="validation"),),
        test=Data(dataset=dataset, config="{language}", split="test"),
        languages=tuple(LANGUAGES),
        max_length=32,
        licence="made by the program",
        rows=rows,
        tokens=tokens,
    )


TEXT = Task(
    name="world_text",
    family="text",
    format="text",
    metric="accuracy",
    train=tuple(Data(dataset=_TEXT, config=code, split="train") for code in LANGUAGES),
    selection=(Data(dataset=_TEXT, config=ENGLISH, split="validation"),),
    max_length=32,
    licence="made by the program",
    rows=2000 * len(LANGUAGES),
    tokens=9,
)
"""Raw text of every language, which the world's encoders are pretrained on."""

TASKS: Mapping[str, Task] = MappingProxyType(
    {
        task.name: task
        for task in (
            _task("world_nli", "pair", 1500, 15),
            _task("world_qa", "span", 1500, 19),
            _task("world_tags", "tag", 1500, 10),
            _task("world_nli_small", "pair", 120, 15),
            _task("world_qa_small", "span", 120, 19),
        )
    }
)
"""Task name -> task: three intermediates, which may be targets too, and two small targets."""
