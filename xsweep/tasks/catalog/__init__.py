"""The catalogue of tasks: one declarative entry each, by family. A sweep file declares its own in the same words."""

from __future__ import annotations

from collections.abc import Mapping

from xsweep.tasks.catalog import choice, nli, paraphrase, qa, retrieval, tagging
from xsweep.tasks.task import Data, Task
from xsweep.tasks.translated import originals
from xsweep.tasks.world.catalog import TASKS as WORLD_TASKS
from xsweep.tasks.world.catalog import TEXT as WORLD_TEXT

_TASKS = (*nli.TASKS, *paraphrase.TASKS, *qa.TASKS, *choice.TASKS, *tagging.TASKS, *retrieval.TASKS)

CATALOG: Mapping[str, Task] = {task.name: task for task in (*_TASKS, *WORLD_TASKS.values(), WORLD_TEXT)}

_HOLDS: Mapping[tuple[str, str, str], tuple[str, ...]] = {
    ("lighteval/siqa", "*", "*"): ("allenai/social_i_qa",),
    # XNLI trains on MultiNLI, in translation outside English.
    ("facebook/xnli", "*", "train"): ("nyu-mll/multi_nli",),
    ("google/xtreme", "XNLI", "train"): ("nyu-mll/multi_nli",),
    ("nyu-mll/glue", "mnli", "*"): ("nyu-mll/multi_nli",),
    # Two thirds of v2.0 are v1.1's questions, on the same paragraphs.
    ("rajpurkar/squad_v2", "*", "*"): ("rajpurkar/squad",),
    ("google/xtreme", "SQuAD", "*"): ("rajpurkar/squad",),
    # Professional translations of a part of SQuAD's development set.
    ("google/xquad", "*", "*"): ("rajpurkar/squad",),
    ("google-research-datasets/xquad_r", "*", "*"): ("rajpurkar/squad",),
    # Other questions, on SQuAD's paragraphs.
    ("UCLNLP/adversarial_qa", "*", "*"): ("rajpurkar/squad",),
    # PAWS-X takes its English pairs from PAWS-Wiki.
    ("google-research-datasets/paws", "labeled_final", "*"): ("google-research-datasets/paws-x",),
    ("google/xtreme", "PAWS-X.en", "train"): ("google-research-datasets/paws-x",),
    ("google/xtreme", "tydiqa", "train"): ("google-research-datasets/tydiqa",),
}
"""(data set, configuration, split) -> data sets whose rows lie inside, under another name or in translation."""


def task(name: str) -> Task:
    """The catalogue's task ``name``; raises ``KeyError``."""
    return CATALOG[name]


def sources_of(task: Task) -> frozenset[str]:
    """Data sets that a task trains on, those held inside others or translated included.

    ``same-data`` is where they meet.
    """
    return frozenset(name for data in task.train for one in originals(data) for name in (one.dataset, *_held(one)))


def _held(data: Data) -> list[str]:
    place = (data.dataset, data.config, data.split)
    return [
        held
        for pattern, names in _HOLDS.items()
        if all(want in ("*", have) for want, have in zip(pattern, place, strict=True))
        for held in names
    ]
