"""What a frame of scores set out to measure: without it, nobody could tell that something is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from xsweep.models.model import Model
from xsweep.plan.cells import BASELINE
from xsweep.spec.sweep import Sweep
from xsweep.tasks.catalog import CATALOG, sources_of

__all__ = ["BASELINE", "Design"]


@dataclass(frozen=True)
class Design:
    """The grid of a frame, each part in its order there but models by size."""

    models: tuple[Model, ...]
    arms: Mapping[str, str]
    """Arm, the baseline included -> its family."""
    targets: Mapping[str, tuple[str, ...]]
    """Target -> the languages that it is scored in."""
    groups: Mapping[str, str]
    """Target -> its group."""
    seeds: tuple[int, ...]
    """Reporting seeds."""
    draws: tuple[tuple[int, int], ...] = ()
    """(seed, repeat of the search): every pair that runs were made with. Seeds may take turns with the repeats."""
    same_data: frozenset[tuple[str, str]] = frozenset()
    """(arm, target) pairs that train on a common data set."""
    left_out: frozenset[tuple[str, str]] = frozenset()
    """(arm, target) pairs that are no cells: a target that is not trained cannot be lengthened."""
    sources: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Arm -> the data sets that it trains on; an arm of which nothing is known has its own name."""

    @classmethod
    def of(cls, frame: pl.DataFrame, sweep: Sweep | None = None) -> Design:
        """The design of a FRAME; a sweep that made it knows what its arms are trained on."""
        sized = frame.select("model", "ladder", "params", "embedding_params").unique("model", keep="first",
                                                                                      maintain_order=True)  # fmt: skip
        models = [
            Model(name=name, ladder=ladder, params=params, embedding_params=embedding)
            for name, ladder, params, embedding in sized.iter_rows()
        ]
        arms = dict(frame.select("arm", "family").unique("arm", keep="first", maintain_order=True).iter_rows())
        pairs = dict.fromkeys(frame.select("arm", "target").unique(maintain_order=True).iter_rows())
        places = frame.select("target", "language").unique(maintain_order=True)
        languages: dict[str, list[str]] = {}
        for target, language in places.iter_rows():
            languages.setdefault(target, []).append(language)
        read = {arm.name: [sources_of(task) for task in arm.reads] for arm in sweep.arms} if sweep else {}
        return cls(
            models=tuple(sorted(models, key=lambda m: m.params or 0)),
            arms=arms,
            targets={target: tuple(codes) for target, codes in languages.items()},
            groups=dict(
                frame.select("target", "group").unique("target", keep="first", maintain_order=True).iter_rows()
            ),
            seeds=tuple(sorted(frame["seed"].unique())),
            draws=tuple(sorted(frame.select("seed", "repeat").unique().iter_rows())),
            same_data=frozenset(frame.filter("same_data").select("arm", "target").unique().iter_rows()),
            left_out=frozenset((a, t) for a in arms for t in languages if (a, t) not in pairs),
            sources={arm: _sources(arm, read.get(arm, [])) for arm in arms if arm != BASELINE},
        )

    @property
    def repeats(self) -> tuple[int, ...]:
        """Repeats of the search."""
        return tuple(sorted({repeat for _, repeat in self.draws}))

    @property
    def units(self) -> tuple[int, ...]:
        """The numbers of what is drawn at random."""
        return self.repeats if self.unit == "repeat" else self.seeds

    @property
    def unit(self) -> str:
        """What is drawn at random: the repeat of the search where there are three or more, else the seed."""
        return "repeat" if len(self.repeats) >= REPEATS else "seed"

    @property
    def covers(self) -> str:
        """What an interval over the unit holds, in words."""
        if self.unit == "repeat":
            return "training and search"
        return "training, given the chosen hyperparameters"


REPEATS = 3
"""Repeats of the search from which they are the unit."""


def _sources(arm: str, read: list[frozenset[str]]) -> frozenset[str]:
    if read:
        return frozenset().union(*read)
    return sources_of(CATALOG[arm]) if arm in CATALOG else frozenset((arm,))
