"""How each model of a sweep is laid on the machine: told in the file, or the fewest workers that its memory fits."""

from __future__ import annotations

from dataclasses import dataclass

from xsweep.errors import UsageError
from xsweep.models.model import Model
from xsweep.plan.memory import SHARE, Memory, predicted
from xsweep.spec.sweep import Fit, Layout, Sweep

WORKERS = (1, 2, 4, 8, 16, 32, 64)
"""Tried in turn: powers of two divide a node's GPUs evenly."""


@dataclass(frozen=True)
class Placement:
    """A model's layout, and the memory that it is predicted to take; None without GPUs and of an unknown shape."""

    layout: Layout
    memory: Memory | None


def placement(sweep: Sweep, model: Model) -> Placement:
    """The layout of ``model``: the fewest workers that hold it, and of those without recomputing if it fits so.

    Recomputing comes before twice the workers: it costs a third more arithmetic and no communication. What the file
    tells is taken as it is. Without GPUs, or of an unknown shape, what is not told is 1 worker and no recomputing.
    Raises ``UsageError`` when no choice fits.
    """
    told, file = _told(sweep, model.name), sweep.layout
    fixed = Layout(cpus=file.cpus, gpus=file.gpus, checkpoint_seconds=file.checkpoint_seconds)
    fixed = fixed.model_copy(update={"tokens": told.tokens or fixed.tokens})
    tries = [
        _placed(fixed, sweep, model, workers, recompute)
        for workers in ([told.workers] if told.workers else WORKERS)
        for recompute in ((False, True) if told.recompute is None else (told.recompute,))
    ]
    first = tries[0]
    if first.memory is None or (told.workers and told.recompute is not None):
        return first
    fitting = [one for one in tries if one.memory and one.memory.total <= room(sweep)]
    if fitting:
        return fitting[0]
    last = tries[-1]
    assert last.memory is not None
    raise UsageError(
        f"model {model.name} does not fit: {last.memory.total / 1e9:.0f} GB on each of {last.layout.workers} GPUs of "
        f"{sweep.layout.gpu_memory:g} GB (layout.gpu_memory), at {fixed.tokens} tokens a micro-batch "
        f"(layout.tokens); give fewer tokens, more workers or larger GPUs"
    )


def room(sweep: Sweep) -> float:
    """Bytes of a GPU that a worker may fill; of part of a GPU, that part."""
    return SHARE * sweep.layout.gpu_memory * 1e9 * min(1.0, sweep.layout.gpus)


def _told(sweep: Sweep, model: str) -> Fit:
    """What the file says for the model alone, and where that says nothing, for all."""
    alone = sweep.layout.models.get(model, Fit())
    return Fit(**{n: v if (v := getattr(alone, n)) is not None else getattr(sweep.layout, n) for n in Fit.model_fields})


def _placed(fixed: Layout, sweep: Sweep, model: Model, workers: int, recompute: bool) -> Placement:
    layout = fixed.model_copy(update={"workers": workers, "recompute": recompute})
    memory = predicted(model, sweep.train, workers=workers, tokens=layout.tokens, recompute=recompute)
    return Placement(layout, memory if layout.gpus else None)
