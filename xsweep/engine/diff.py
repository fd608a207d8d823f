"""What an edit of a sweep file would train: two files against one store. No Ray, and no data is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from xsweep.engine.studies import Suggestions
from xsweep.plan.cells import Cell
from xsweep.plan.resolve import Resolver
from xsweep.plan.stage import Hyper, Work, trial_work
from xsweep.plan.study import Study

_SHOWN = 20


@dataclass(frozen=True)
class Change:
    """Stages of one kind. ``new`` are those that the old file does not ask for; ``train`` of them is not in the store.

    ``gone`` are the old file's alone: they stay in the store, and out of the report.
    """

    stage: str
    kept: int
    gone: int
    new: int
    train: tuple[str, ...]
    """Labels."""


def diff(old: Resolver, new: Resolver) -> list[Change]:
    """The change of every kind of stage; both read the same store.

    Where a search has not decided, it is supposed to decide the same for both files when it is the same search.
    Steps that a control makes up for are not supposed: while they are unknown, it counts as it was.
    """
    before, after = (_asked(_Supposing(at.plan, at.prints, at.store)) for at in (old, new))
    found = []
    for stage in dict.fromkeys([*before, *after]):
        one, other = before.get(stage, {}), after.get(stage, {})
        fresh = {key: label for key, label in other.items() if key not in one}
        train = tuple(label for key, label in fresh.items() if not _done(new, key))
        found.append(Change(stage, len(other) - len(fresh), len(one.keys() - other.keys()), len(fresh), train))
    return found


def diff_text(changes: list[Change]) -> str:
    """The changes as a table, and what would be trained."""
    lines = [f"  {'stage':<20} {'kept':>6} {'gone':>6} {'new':>6} {'in the store':>13} {'to train':>9}"]
    for c in changes:
        there = c.new - len(c.train)
        lines.append(f"  {c.stage:<20} {c.kept:>6} {c.gone:>6} {c.new:>6} {there:>13} {len(c.train):>9}")
    for c in changes:
        labels = list(dict.fromkeys(c.train))
        if labels:
            more = [f"    and {len(labels) - _SHOWN} more"] if len(labels) > _SHOWN else []
            lines += ["", f"  {c.stage}:", *(f"    {label}" for label in labels[:_SHOWN]), *more]
    return "\n".join(lines if any(c.new or c.gone for c in changes) else ["  Nothing changes."])


class _Supposing(Resolver):
    """Supposes of every search without a decision that it decides something that no other search does."""

    def decided(self, cell: Cell) -> Hyper | None:
        """The decision, or what is supposed."""
        study = self.study(cell)
        return super().decided(cell) or (_supposed(study) if study else None)

    def _best(self, before: Cell, cell: Cell) -> tuple[Hyper, ...] | None:
        study = self.study(before)
        made_up = (_supposed(study, number) for number in range(self.plan.space(cell).trials)) if study else ()
        return super()._best(before, cell) or tuple(made_up) or None


def _supposed(study: Study, number: int = 0) -> Hyper:
    made_up = Hyper(lr=1.0 + number + int(study.address[:12], 16), epochs=1)
    return replace(made_up, before=made_up) if study.before else made_up


def _asked(at: Resolver) -> dict[str, dict[str, str]]:
    """Kind of stage -> key -> label of every stage of the sweep; what is not known yet has a key of its own."""
    plan = at.plan
    found: dict[str, dict[str, str]] = {}
    for model in plan.sweep.models:
        if stage := at.pretrained(model.name):
            found.setdefault("pretrain", {})[stage.key] = model.name
    for cell in plan.searches:
        for work, key in _runs(at, cell):
            found.setdefault(work, {})[key] = cell.label
    for cell in plan.intermediates:
        stage = at.intermediate(cell)
        found.setdefault("intermediate", {})[stage.key if stage else f"unknown: {cell.label}"] = cell.label
    for cell in plan.cells:
        parts = {"evaluate": at.evaluate(cell)}
        if plan.target(cell.target or "").trained:
            parts = {"target": at.target(cell), **parts}
        for kind, stage in parts.items():
            found.setdefault(kind, {})[stage.key if stage else f"unknown: {cell.label}"] = cell.label
    return found


def _runs(at: Resolver, cell: Cell) -> Iterator[tuple[Work, str]]:
    """The stages of a search's runs, as far as they are known before it is run, or after it has decided."""
    study, decision = at.study(cell), at.decision(cell)
    assert study  # all that it waits for is supposed
    if decision is not None:
        known = [Hyper.of(run) for run in (*decision["trials"], *decision.get("rungs", ()))]
    else:
        known = [hyper for _, hyper in Suggestions(study).pending({})]
    for hyper in known:
        yield from ((trial_work(stage.kind), stage.key) for stage in at.trials(study, hyper))
    if decision is None:
        for number in range(len(known), at.plan.runs(cell)):
            yield trial_work(study.kind), f"unknown: {study.address} {number}"


def _done(at: Resolver, key: str) -> bool:
    manifest = None if key.startswith("unknown: ") else at.store.manifest(key)
    return manifest is not None and manifest.final
