"""Beginnings of training runs, left in the store for runs that go further: whole training states, taken over as is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from xsweep.errors import EnvironmentProblem
from xsweep.plan.stage import Stage
from xsweep.store.backend import Folder
from xsweep.store.store import Store
from xsweep.train.checkpoint import Checkpoints, Saved, newest
from xsweep.train.world import World


def farthest(store: Store, stage: Stage) -> int:
    """The latest epoch before the stage's own end at which a run with the same beginning left it, or 0."""
    folders = left_beginnings(store, stage)
    return max((epoch for epoch, folder in folders.items() if newest(folder) >= 0), default=0)


def left_beginnings(store: Store, stage: Stage) -> dict[int, Folder]:
    """Epoch -> folder of every state that ``stage`` may go on from."""
    if stage.hyper is None:
        return {}
    folder = store.beginning(stage.beginning)
    left = {int(name.partition("/")[0].removeprefix("until-")) for name in folder.held()}
    return {epoch: _until(folder, epoch) for epoch in sorted(left) if 0 < epoch < stage.end}


class Beginnings:
    """What one stage takes from the runs before it and leaves for those after it.

    ``taken`` is what ``farthest`` found, on every worker the same; ``leaves`` says whether any run will want its own.
    """

    def __init__(self, store: Store, stage: Stage, world: World, *, taken: int, leaves: bool) -> None:
        self._folder, self._world = store.beginning(stage.beginning), world
        self._taken, self._own = taken, stage.end if leaves else 0

    def take(self, cut: Mapping[str, int]) -> Saved | None:
        """The state to go on from, or None; sets the random generators too.

        Raises ``EnvironmentProblem`` when it has gone since it was found: the parent's weights were not loaded for it.
        """
        saved = self._at(self._taken).load(cut) if self._taken else None
        if self._taken and saved is None:
            raise EnvironmentProblem(f"{self._folder.shown}: was removed while a run started from it; run again")
        return saved

    def leave(self, step: int, tensors: Mapping[str, Tensor], state: Mapping[str, Any], cut: Mapping[str, int]) -> None:
        """Keep the state at ``step`` where it will be wanted; every worker calls it after the same step."""
        if self._own:
            self._at(self._own).save(step, tensors, state, cut)

    def _at(self, epoch: int) -> Checkpoints:
        return Checkpoints(_until(self._folder, epoch), self._world, float("inf"))


def _until(folder: Folder, epoch: int) -> Folder:
    return folder.inside(f"until-{epoch}")
