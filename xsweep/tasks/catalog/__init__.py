"""The catalogue of tasks: one declarative entry each, by family. A sweep file declares its own in the same words."""

from __future__ import annotations

from collections.abc import Mapping

from xsweep.tasks.catalog import choice, nli, qa, tagging
from xsweep.tasks.task import Data, Task
from xsweep.tasks.world.catalog import TASKS as WORLD_TASKS
from xsweep.tasks.world.catalog import TEXT as WORLD_TEXT

_TASKS = (*nli.TASKS, *qa.TASKS, *choice.TASKS, *tagging.TASKS)

CATALOG: Mapping[str, Task] = {task.name: task for task in (*_TASKS, *WORLD_TASKS.values(), WORLD_TEXT)}

_HOLDS: Mapping[tuple[str, str, str], tuple[str, ...]] = {
    ("lighteval/siqa", "*", "*"): ("allenai/social_i_qa",),
    ("facebook/xnli", "*", "train"): ("nyu-mll/multi_nli",),
    ("nyu-mll/glue", "mnli", "*"): ("nyu-mll/multi_nli",),
    ("rajpurkar/squad_v2", "*", "*"): ("rajpurkar/squad",),
    ("google/xtreme", "SQuAD", "*"): ("rajpurkar/squad",),
    ("google/xtreme", "XNLI", "train"): ("nyu-mll/multi_nli",),
}
"""(data set, configuration, split) -> data sets whose rows lie inside, under another name or in translation."""


def task(name: str) -> Task:
    """The catalogue's task ``name``; raises ``KeyError``."""
    return CATALOG[name]


def sources_of(task: Task) -> frozenset[str]:
    """Data sets that a task trains on, those held inside others included: ``same-data`` is where they meet."""
    return frozenset(name for data in task.train for name in (data.dataset, *_held(data)))


def _held(data: Data) -> list[str]:
    place = (data.dataset, data.config, data.split)
    return [
        held
        for pattern, names in _HOLDS.items()
        if all(want in ("*", have) for want, have in zip(pattern, place, strict=True))
        for held in names
    ]
