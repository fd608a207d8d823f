"""What a plan costs, as far as it can be known: stages by kind and model, tokens and FLOPs.

Unknown stays unknown (None): a price made up from a missing number would be worse than none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import get_args

from xsweep.models.model import Model
from xsweep.plan.cells import Cell, Plan
from xsweep.plan.mixing import masked_share, rows_each
from xsweep.plan.stage import Work
from xsweep.spec.sweep import Arm, Target


@dataclass(frozen=True)
class Line:
    """Stages of one kind, of one model or of all. ``needed`` counts what every cell asks for, ``runs`` what is left
    after sharing."""

    stage: Work
    model: str
    """Empty for all."""
    needed: int
    runs: int
    flops: float | None
    """Training FLOPs of ``runs``, at most (searched epochs at their upper end); None when unknown."""
    tokens: float | None
    """Real tokens behind them."""


@dataclass(frozen=True)
class Cost:
    """The price of a plan."""

    each: tuple[Line, ...]
    """Of each kind and model."""

    @property
    def lines(self) -> tuple[Line, ...]:
        """Of each kind, over all models."""
        kinds = [kind for kind in get_args(Work) if any(line.stage == kind for line in self.each)]
        return tuple(_summed(kind, [line for line in self.each if line.stage == kind]) for kind in kinds)


def _summed(kind: Work, lines: list[Line]) -> Line:
    needed, runs = sum(line.needed for line in lines), sum(line.runs for line in lines)
    flops, tokens = total(line.flops for line in lines), total(line.tokens for line in lines)
    return Line(kind, "", needed, runs, flops, tokens)


def estimate(plan: Plan) -> Cost:
    """Count stages and FLOPs (6 x trunk parameters x real tokens to train, 2 x to score; PaLM, appendix B, without
    attention), for each kind and model. Tokens are what the catalogue says of rows and mean lengths."""
    kinds = get_args(Work)
    return Cost(tuple(line for kind in kinds for model in plan.sweep.models if (line := _line(plan, kind, model))))


def _line(plan: Plan, kind: Work, model: Model) -> Line | None:
    sweep = plan.sweep
    cells = [cell for cell in plan.cells if cell.model == model.name]
    searches = [cell for cell in plan.searches if cell.model == model.name]
    trained = [cell for cell in cells if plan.target(cell.target or "").trained]
    if kind == "pretrain":
        return _made(kind, model, 1, 1, _pretraining_tokens(model)) if model.pretrain else None
    if kind == "evaluate":
        scored = [cell for cell in cells if cell.seed == sweep.seeds[0] or not plan.seedless(cell)]
        return _made(kind, model, len(cells), len(scored), total(_scored_tokens(plan, cell) for cell in scored))
    if kind == "intermediate trials":
        return _intermediate_trials(plan, model, searches)
    if kind == "target trials":
        asked = {(c.arm, c.target): plan.target_search(c.model, c.arm, c.target or "") for c in trained}
        wanted = sweep.search.repeats * sum(plan.space(cell).trials for cell in asked.values())
        return _target_trials(plan, model, [cell for cell in searches if cell.target], wanted)
    if kind == "intermediate":
        run = [cell for cell in plan.intermediates if cell.model == model.name]
        needed = sum(plan.arm(cell.arm).trained for cell in cells)
        return _made(kind, model, needed, len(run), total(_intermediate_tokens(plan, cell) for cell in run))
    return _made(kind, model, len(trained), len(trained), total(_trained_tokens(plan, cell) for cell in trained))


def _intermediate_trials(plan: Plan, model: Model, searches: list[Cell]) -> Line:
    """Trials of intermediate stages: of their own searches, and of joint ones, whose targets share some."""
    each = [(cells, plan.intermediate_runs(cells)) for cells in plan.sharing(searches)]
    needed = sum(plan.space(cell).trials for cells, _ in each for cell in cells)
    known = [(runs, _intermediate_tokens(plan, cells[0])) for cells, runs in each]
    tokens = total(None if tokens is None else runs * tokens for runs, tokens in known)
    return _made("intermediate trials", model, needed, sum(runs for _, runs in each), tokens)


def _target_trials(plan: Plan, model: Model, searches: list[Cell], needed: int) -> Line:
    """Trials of target stages, each to its end."""
    each = [(plan.space(cell).trials, _trained_tokens(plan, cell)) for cell in searches]
    tokens = total(None if tokens is None else trials * tokens for trials, tokens in each)
    return _made("target trials", model, needed, sum(trials for trials, _ in each), tokens)


def _made(kind: Work, model: Model, needed: int, runs: int, tokens: float | None) -> Line:
    trunk = trunk_params(model)
    each = 2.0 if kind == "evaluate" else 6.0
    flops = None if tokens is None or trunk is None else each * trunk * tokens
    return Line(kind, model.name, needed, runs, flops, tokens)


def trunk_params(model: Model) -> int | None:
    """Parameters outside the word table, which all of a token's arithmetic is with."""
    known = model.params is not None and model.embedding_params is not None
    return (model.params or 0) - (model.embedding_params or 0) if known else None


def total(numbers: Iterable[float | None]) -> float | None:
    """Their sum; None when any is unknown."""
    found = 0.0
    for number in numbers:
        if number is None:
            return None
        found += number
    return found


def _pretraining_tokens(model: Model) -> float | None:
    recipe = model.pretrain
    if recipe is None or recipe.task.rows is None or recipe.task.tokens is None:
        return None
    return float(recipe.task.rows * recipe.task.tokens * recipe.epochs)


def _scored_tokens(plan: Plan, cell: Cell) -> float | None:
    """Tokens read to score a cell in its languages."""
    target = plan.target(cell.target or "")
    known = [rows for rows in (target.score_examples, target.task.test_rows) if rows is not None]
    rows, tokens = min(known, default=None), target.task.tokens
    return None if rows is None or tokens is None else float(rows * len(target.languages) * tokens)


def _intermediate_tokens(plan: Plan, cell: Cell) -> float | None:
    """Tokens that one intermediate stage of the cell's arm trains on, at the most epochs its search allows."""
    tokens = _tokens(plan.arm(cell.arm))
    return None if tokens is None else tokens * plan.sweep.search.intermediate.of(cell.model).epochs.high


def _trained_tokens(plan: Plan, cell: Cell) -> float | None:
    """The same of one target stage of the cell."""
    tokens, epochs = _tokens(plan.target(cell.target or "")), _epochs(plan, cell)
    return None if tokens is None or epochs is None else tokens * epochs


def _epochs(plan: Plan, cell: Cell) -> int | None:
    """Epochs of one target stage of the cell, at most; of a lengthened one, with those of the other's intermediate.

    Rows stand for steps there, which are counted in windows where there are any.
    """
    high, of = plan.space(cell).epochs.high, plan.arm(cell.arm).of
    if of is None:
        return high
    before, after = _rows(plan.arm(of)), _rows(plan.target(cell.target or ""))
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
        whole = float(sum(r * t for r, t in zip(rows, lengths, strict=True)))
        return whole if source.examples is None else whole * min(1.0, source.examples / sum(rows))
    return None if source.examples is None else float(source.examples * max(lengths))


def _mixed_tokens(arm: Arm) -> float | None:
    """The same of a mixture: rows as it samples them, and masked text beside them."""
    mixture, tokens = arm.mixture, {task.name: task.tokens for task in arm.reads}
    published = {task.name: task.rows for task in arm.tasks}
    if mixture is None or None in tokens.values() or None in published.values():
        return None
    left = min(1.0, (arm.examples or math.inf) / sum(rows or 0 for rows in published.values()))
    each = rows_each(mixture.sampling, {name: max(1, round(left * (rows or 0))) for name, rows in published.items()})
    mixed = float(sum(rows * (tokens[name] or 0) for name, rows in each.items()))
    if mixture.mlm:
        mixed += masked_share(mixture.mlm.ratio) * sum(each.values()) * (tokens[mixture.mlm.task.name] or 0)
    return mixed
