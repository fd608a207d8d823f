"""What a plan costs, as far as it can be known: stages by kind, what is done, and training FLOPs.

Unknown stays unknown (None): a price made up from a missing number would be worse than none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from xsweep.models.model import Model
from xsweep.plan.cells import Cell, Plan
from xsweep.plan.mixing import masked_share, rows_each
from xsweep.spec.sweep import Arm, Target


@dataclass(frozen=True)
class Line:
    """One row of the plan table. ``needed`` counts what every cell asks for, ``runs`` what is left after sharing."""

    stage: str
    needed: int
    runs: int
    flops: float | None
    """Training FLOPs of ``runs``, at most (searched epochs at their upper end); None when unknown."""


@dataclass(frozen=True)
class Cost:
    """The price of a plan."""

    lines: tuple[Line, ...]

    @property
    def flops(self) -> float | None:
        """Sum over the lines; None when any is unknown."""
        known = [line.flops for line in self.lines]
        return None if None in known else sum(f for f in known if f is not None)


def estimate(plan: Plan, counted: Mapping[str, Mapping[str, int]] = MappingProxyType({})) -> Cost:
    """Count stages and training FLOPs (6 x trunk parameters x real tokens; PaLM, appendix B, without attention).

    ``counted`` gives parameters by model name (``forward``, ``embedding``) for models that declare none.
    """
    models = tuple(_with_counts(model, counted.get(model.name)) for model in plan.sweep.models)
    plan = replace(plan, sweep=plan.sweep.model_copy(update={"models": models}))
    sweep = plan.sweep
    first = [cell for cell in plan.searches if cell.target is None]
    second = [cell for cell in plan.searches if cell.target]
    arms = sum(plan.arm(cell.arm).trained for cell in plan.cells)
    shared = [Cell(model, arm, None, seed, "report") for model, arm, seed in plan.intermediates]
    trained = [cell for cell in plan.cells if plan.target(cell.target or "").trained]
    asked = {(c.model, c.arm, c.target): plan.target_search(c.model, c.arm, c.target or "") for c in trained}
    wanted = sweep.search.repeats * sum(plan.space(cell).trials for cell in asked.values())
    scored = [cell for cell in plan.cells if cell.seed == sweep.seeds[0] or not plan.seedless(cell)]
    return Cost(
        (
            *_pretraining(plan),
            _trials("intermediate trials", plan, first, None),
            _trials("target trials", plan, second, wanted),
            Line("intermediate", arms, len(shared), _sum(plan, shared)),
            Line("target", len(trained), len(trained), _sum(plan, trained)),
            Line("evaluate", len(plan.cells), len(scored), _scoring(plan, scored)),
        )
    )


def _pretraining(plan: Plan) -> Iterator[Line]:
    """A line for the models that start from random weights, where there are any."""
    models = [model for model in plan.sweep.models if model.pretrain]
    flops = [_pretraining_flops(model) for model in models]
    if models:
        yield Line("pretrain", len(models), len(models), None if None in flops else sum(f for f in flops if f))


def _pretraining_flops(model: Model) -> float | None:
    recipe = model.pretrain
    if recipe is None or model.params is None or model.embedding_params is None:
        return None
    if recipe.task.rows is None or recipe.task.tokens is None:
        return None
    trunk = model.params - model.embedding_params
    return 6.0 * trunk * recipe.task.rows * recipe.task.tokens * recipe.epochs


def _with_counts(model: Model, counted: Mapping[str, int] | None) -> Model:
    if counted is None or model.params is not None:
        return model
    return model.model_copy(update={"params": counted["forward"], "embedding_params": counted["embedding"]})


def _trials(stage: str, plan: Plan, searches: list[Cell], needed: int | None) -> Line:
    """A line of searches, each trial to its end; ``needed`` trials, or as many as run."""
    each = [(plan.space(cell).trials, _flops(plan, cell)) for cell in searches]
    runs = sum(trials for trials, _ in each)
    flops = [None if f is None else trials * f for trials, f in each]
    whole = None if None in flops else sum(f for f in flops if f is not None)
    return Line(stage, runs if needed is None else needed, runs, whole)


def _sum(plan: Plan, cells: list[Cell]) -> float | None:
    flops = [_flops(plan, cell) for cell in cells]
    return None if None in flops else sum(f for f in flops if f is not None)


def _scoring(plan: Plan, cells: list[Cell]) -> float | None:
    """Forward FLOPs (2 x trunk x tokens) of scoring ``cells`` in their languages."""
    total = 0.0
    for cell in cells:
        model = next(m for m in plan.sweep.models if m.name == cell.model)
        target = plan.target(cell.target or "")
        rows, tokens = target.score_examples, target.task.tokens
        if rows is None or tokens is None or model.params is None or model.embedding_params is None:
            return None
        total += 2.0 * (model.params - model.embedding_params) * rows * len(target.languages) * tokens
    return total


def _flops(plan: Plan, cell: Cell) -> float | None:
    """Training FLOPs of one stage of the cell at the most epochs its search allows."""
    model = next(m for m in plan.sweep.models if m.name == cell.model)
    source = plan.target(cell.target) if cell.target else plan.arm(cell.arm)
    tokens, epochs = _tokens(source), _epochs(plan, cell)
    if tokens is None or epochs is None or model.params is None or model.embedding_params is None:
        return None
    return 6.0 * (model.params - model.embedding_params) * tokens * epochs


def _epochs(plan: Plan, cell: Cell) -> int | None:
    """Epochs of one stage of the cell, at most; of a lengthened target stage, with those of the other's intermediate.

    Rows stand for steps there, which are counted in windows where there are any.
    """
    high, of = plan.space(cell).epochs.high, plan.arm(cell.arm).of
    if of is None or cell.target is None:
        return high
    before, after = _rows(plan.arm(of)), _rows(plan.target(cell.target))
    if before is None or after is None:
        return None
    return high + math.ceil(plan.sweep.search.intermediate.epochs.high * before / after)


def _rows(source: Arm | Target) -> int | None:
    """Rows of one epoch, at most, as declared or published."""
    tasks = (source.task,) if isinstance(source, Target) else source.tasks
    rows = [task.rows for task in tasks if task.rows is not None]
    known = [source.examples] if source.examples is not None else []
    return min([*known, *([sum(rows)] if len(rows) == len(tasks) else [])], default=None)


def _tokens(source: Arm | Target) -> float | None:
    """Real tokens of one epoch, at most: from mean lengths, and rows as declared or published."""
    if isinstance(source, Arm) and source.mixture:
        return _mixed_tokens(source)
    tasks = (source.task,) if isinstance(source, Target) else source.tasks
    lengths = [task.tokens for task in tasks if task.tokens is not None]
    rows = [task.rows for task in tasks if task.rows is not None]
    if len(lengths) < len(tasks):
        return None
    if len(rows) == len(tasks):
        total = float(sum(r * t for r, t in zip(rows, lengths, strict=True)))
        return total if source.examples is None else total * min(1.0, source.examples / sum(rows))
    return None if source.examples is None else float(source.examples * max(lengths))


def _mixed_tokens(arm: Arm) -> float | None:
    """The same of a mixture: rows as it samples them, and masked text beside them."""
    mixture, tokens = arm.mixture, {task.name: task.tokens for task in arm.reads}
    published = {task.name: task.rows for task in arm.tasks}
    if mixture is None or None in tokens.values() or None in published.values():
        return None
    left = min(1.0, (arm.examples or math.inf) / sum(rows or 0 for rows in published.values()))
    each = rows_each(mixture.sampling, {name: max(1, round(left * (rows or 0))) for name, rows in published.items()})
    total = float(sum(rows * (tokens[name] or 0) for name, rows in each.items()))
    if mixture.mlm:
        total += masked_share(mixture.mlm.ratio) * sum(each.values()) * (tokens[mixture.mlm.task.name] or 0)
    return total
