"""What a mixture comes to: rows of each task in an epoch, the heads that its tasks share, and all that in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from xsweep.spec.node import listed
from xsweep.spec.sweep import Arm, Sampling


def rows_each(sampling: Sampling, rows: Mapping[str, int]) -> dict[str, int]:
    """Task -> its rows in an epoch, given task -> all its rows.

    Shares are rounded by largest remainders, ties by name, so that the order of the tasks is no matter.
    """
    seen = {name: min(rows[name], sampling.cap or rows[name]) for name in sorted(rows)}
    power = 0.0 if sampling.shares == "uniform" else 1 / sampling.temperature
    shares = {name: float(count**power) for name, count in seen.items()}
    total, whole = sum(seen.values()), math.fsum(shares.values())
    exact = {name: total * share / whole for name, share in shares.items()}
    each = {name: math.floor(value) for name, value in exact.items()}
    by_remainder = sorted(each, key=lambda name: (each[name] - exact[name], name))
    for name in by_remainder[: total - sum(each.values())]:
        each[name] += 1
    return {name: each[name] for name in rows}


def masked_share(ratio: float) -> float:
    """Masked batches to every other batch, where ``ratio`` is their share of all."""
    return ratio / (1 - ratio)


def head_groups(payload: Mapping[str, Any]) -> list[list[int]]:
    """Which tasks share each head, by number, from a stage's payload; heads in the order of their first tasks."""
    apart = bool(payload.get("mixture")) and payload["mixture"]["heads"] == "task"
    groups: dict[str, list[int]] = {}
    for number, task in enumerate(payload["tasks"]):
        groups.setdefault(task["name"] if apart else head_shape(task), []).append(number)
    return list(groups.values())


def head_names(payload: Mapping[str, Any]) -> list[str]:
    """The module that each of ``head_groups`` is in the network."""
    heads = len(head_groups(payload))
    several = heads > 1 or bool(payload.get("mixture") and payload["mixture"]["mlm"])
    return [f"heads.{number}" for number in range(heads)] if several else ["head"]


def head_shape(task: Mapping[str, Any]) -> str:
    """What the shape of a task's head depends on, in words."""
    return " ".join([task["format"], *task["labels"]])


def described(arm: Arm) -> str:
    """How an arm mixes its tasks, in words; empty where it pools them."""
    mixture = arm.mixture
    if mixture is None:
        return ""
    said = []
    if len(arm.tasks) > 1:
        tasks = listed(task.name for task in arm.tasks)
        said.append(f"mixes {tasks} by {sampled(mixture.sampling)}, one head per {mixture.heads}")
    if mixture.weights:
        weights = listed(f"{weight:g} ({name})" for name, weight in mixture.weights.items())
        said.append(f"multiplies losses by {weights}")
    if mixture.mlm:
        said.append(f"takes masked text of {mixture.mlm.task.name} in {100 * mixture.mlm.ratio:g} % of its batches")
    return f"{arm.name} {listed(said)}"


def sampled(sampling: Sampling) -> str:
    """A sampling in a few words."""
    extra = [] if sampling.temperature == 1 else [f"temperature {sampling.temperature:g}"]
    extra += [f"at most {sampling.cap} rows each"] if sampling.cap else []
    return ", ".join([f"{sampling.shares} sampling", *extra])
