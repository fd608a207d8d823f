"""Rules of what spends less: early stopping, the other schedule, transfer across sizes, repeats, a budget."""

from __future__ import annotations

from collections.abc import Sequence

from xsweep.models.model import Model
from xsweep.spec.check import Part
from xsweep.spec.node import Findings, Node, shown
from xsweep.spec.sweep import Budget, Halving, Layouts, Search, Target, Training, Transfer
from xsweep.spec.words import did_you_mean


def spending(
    search: Search,
    training: Training,
    models: Sequence[Part[Model]],
    targets: Sequence[Target],
    seeds: Sequence[int],
    root: Node,
    found: Findings,
) -> None:
    """What a search spends less by fits the rest of the file, which stands at ``root``."""
    node, names = root.at("search"), [model.name for model, _ in models]
    for field in ("intermediate", "target"):
        for name in getattr(search, field).models:
            if name not in names:
                found.add(node, f"there is no model {shown(name)}{did_you_mean(name, names)}", field, "models", name)
    if search.repeats > len(seeds) > 0:
        what = f"{search.repeats} repeats, but {len(seeds)} reporting seeds: each repeat needs one to be reported by"
        found.add(node, what, "repeats")
    if search.mode == "joint":
        _joint(search, targets, node, found)
    if search.halving:
        _halving(search, search.halving, training, names, targets, node, found)
    if search.transfer:
        _transfer(search, search.transfer, models, targets, node, found)


def _joint(search: Search, targets: Sequence[Target], node: Node, found: Findings) -> None:
    if search.target_per == "baseline":
        what = "a joint study is of one arm and cannot use the baseline's; leave this out, or set `mode: staged`"
        found.add(node, what, "target_per")
    trials = search.target.trials
    if search.intermediate.trials != trials:
        found.add(
            node, f"a joint trial is of both stages: give as many as search.target, {trials}", "intermediate", "trials"
        )
    if targets and not any(target.trained for target in targets):
        found.add(node, "no target is trained, so there is no second stage to search; set `mode: staged`", "mode")


def _halving(
    search: Search,
    halving: Halving,
    training: Training,
    names: Sequence[str],
    targets: Sequence[Target],
    node: Node,
    found: Findings,
) -> None:
    if search.sampler == "tpe":
        found.add(node, "halving needs points known from the start: quasi-random or random", "sampler")
    # Of a joint trial the intermediate stage is always trained to its end.
    both = search.mode == "staged" or not all(target.trained for target in targets)
    fields = ("intermediate", "target") if both else ("target",)
    spaces = {field: [getattr(search, field).of(name) for name in names] for field in fields}
    for field, own in spaces.items():
        if training.schedule == "linear" and any(space.epochs.low < space.epochs.high for space in own):
            what = "halving compares trials at one epoch of one schedule; fix the epochs, or set train.schedule: wsd"
            found.add(node, what, field, "epochs")
    longest = max((space.epochs.high for own in spaces.values() for space in own), default=0)
    if 0 < longest <= halving.epochs:
        what = f"no trial has more than {longest} epochs, so none would be stopped after {halving.epochs}"
        found.add(node, what, "halving", "epochs")


def _transfer(
    search: Search,
    transfer: Transfer,
    models: Sequence[Part[Model]],
    targets: Sequence[Target],
    node: Node,
    found: Findings,
) -> None:
    trials = min(search.intermediate.trials, search.target.trials)
    if transfer.trials > trials:
        what = f"{transfer.trials} configurations, but a full study has {trials} trials"
        found.add(node, what, "transfer", "trials")
    followers: dict[str, Model] = {}
    last: dict[str, Model] = {}
    for model, place in models:
        before = last.get(model.ladder) if model.ladder else None
        if before is not None:
            followers[model.name] = before
            if model.params and before.params and model.params < before.params:
                found.add(place, f"smaller than {before.name}, which it takes configurations from; list it first")
        last[model.ladder] = model
    if models and not followers:
        found.add(node, "no two models are of one ladder, so there is nothing to transfer", "transfer")
    elif transfer.check is not None and transfer.check not in followers:
        what = f"{shown(transfer.check)} takes configurations from no other model"
        found.add(node, f"{what}{did_you_mean(transfer.check, followers)}", "transfer", "check")
    elif transfer.check is not None and targets and not any(target.trained for target in targets):
        found.add(node, "no target is trained, so there is no search to compare with", "transfer", "check")


def schedule(training: Training, root: Node, found: Findings) -> None:
    """A cool-down has its schedule, and room beside the warm-up."""
    if training.schedule == "linear" and "cooldown" in root.at("train").fields:
        found.add(root, "is for `schedule: wsd`; the linear one falls all along", "train", "cooldown")
    elif training.schedule == "wsd" and training.warmup + training.cooldown >= 1:
        what = f"with a warm-up of {training.warmup:g} there is no room for a cool-down of {training.cooldown:g}"
        found.add(root, what, "train", "cooldown")


def budget(value: Budget, layout: Layouts | None, root: Node, found: Findings) -> None:
    """A budget has a limit, and money a price. ``layout`` is None where it is wrong itself."""
    if value.gpu_hours is None and value.cost is None:
        found.add(root, "says nothing; give it gpu_hours or cost", "budget")
    if value.cost is not None and layout is not None and layout.gpu_hour_cost is None:
        found.add(root, "needs the price of a GPU for an hour: layout.gpu_hour_cost", "budget", "cost")
