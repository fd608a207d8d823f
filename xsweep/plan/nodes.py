"""Which node type can hold a model's worker group, and what the model costs on it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from xsweep.errors import EnvironmentProblem
from xsweep.plan.cells import Plan
from xsweep.plan.hours import PEAK, Price, prices
from xsweep.plan.layout import placement
from xsweep.plan.memory import SHARE
from xsweep.plan.records import collect
from xsweep.plan.resolve import Resolver
from xsweep.plan.show import filled, number
from xsweep.spec.cluster import PRICE, NodeType
from xsweep.spec.sweep import Gang

CARDS: dict[str, tuple[float, float]] = {
    "T4": (16, 65e12),
    "L4": (24, 121e12),
    "A10G": (24, 70e12),
    "L40S": (48, 362e12),
    "A100-40G": (40, 312e12),
    "A100-80G": (80, 312e12),
    "H100": (80, PEAK),
    "H200": (141, PEAK),
    "B200": (180, 2250e12),
}
"""Ray's name of a GPU -> GB (10^9 bytes) of memory and dense 16-bit FLOP/s, by their data sheets."""


@dataclass(frozen=True)
class Held:
    """One model on one node type."""

    model: str
    node: str
    holds: bool | None
    """None when too little is declared to know."""
    said: str
    """Why it does not, or may not, hold it; empty when it does."""
    nodes: int | None = None
    """Nodes that one worker group takes."""
    beside: int | None = None
    """Groups that fit on those together."""
    hours: float | None = None
    """Of nodes, with as many groups on each as fit; None when unknown."""
    cost: float | None = None
    """``hours`` times the price of one."""
    least: bool = False
    """Whether some stage's hours are unknown."""


def hold(price: Price, gang: Gang, node: NodeType) -> Held:
    """How ``node`` holds a worker group of the model of ``price``."""
    found = Held(price.model, node.name, None, "the file declares no resources of it")
    if node.cpus is None or node.gpus is None:
        return found
    each = _workers_on(gang, node)
    if not each:
        return replace(found, holds=False, said=f"a worker takes {_said(gang)}, a node has {_has(node)}")
    nodes = math.ceil(gang.workers / each)
    if nodes > node.most:
        return replace(found, holds=False, said=f"a group takes {nodes} nodes, of at most {node.most}")
    card = CARDS.get(node.accelerator)
    if card and gang.gpus and price.gigabytes and price.gigabytes > (room := SHARE * card[0] * min(1.0, gang.gpus)):
        short = f"a worker takes {price.gigabytes:.0f} GB of a GPU, of {room:.0f} GB that {node.accelerator} gives it"
        return replace(found, holds=False, said=short)
    known = not gang.gpus or (card and price.gigabytes)
    beside = max(1, each // gang.workers)
    hours = _node_hours(price, gang, card, nodes / beside)
    return Held(
        price.model,
        node.name,
        True if known else None,
        "" if known else f"memory unknown: {'the model' if card else 'the GPU'} is",
        nodes,
        beside,
        hours,
        None if hours is None or node.price is None else hours * node.price,
        price.least,
    )


def _workers_on(gang: Gang, node: NodeType) -> int:
    """Workers that one node has room for. Parts of a GPU lie on one GPU."""
    by_cpu = int((node.cpus or 0.0) / gang.cpus + 1e-9)
    if not gang.gpus:
        return by_cpu
    gpus = node.gpus or 0.0
    by_gpu = int(gpus) * int(1 / gang.gpus + 1e-9) if gang.gpus < 1 else int(gpus / gang.gpus + 1e-9)
    return min(by_cpu, by_gpu)


def _node_hours(price: Price, gang: Gang, card: tuple[float, float] | None, nodes_each: float) -> float | None:
    """Hours of nodes: assumed GPU-hours are those of an H100, and stretch with the arithmetic of another."""
    if price.hours is None or (gang.gpus and not card and not price.measured):
        return None
    stretch = PEAK / card[1] if card and gang.gpus and not price.measured else 1.0
    return price.hours * stretch / (gang.workers * (gang.gpus or 1.0)) * nodes_each


def _said(gang: Gang) -> str:
    return f"{gang.cpus} CPU" + (f" and {gang.gpus:g} GPU" if gang.gpus else "")


def _has(node: NodeType) -> str:
    return f"{node.cpus:g} CPU and {node.gpus:g} GPU"


def held_rows(plan: Plan, resolver: Resolver | None, nodes: Sequence[NodeType]) -> list[Held]:
    """Every model of the plan on every node type; raises ``EnvironmentProblem`` when one fits on none of them."""
    found: list[Held] = []
    known = filled(plan, resolver)
    priced = prices(known, collect(resolver) if resolver else ())
    for model, price in zip(known.sweep.models, priced, strict=True):
        if price.problem:
            raise EnvironmentProblem(price.problem)
        gang = placement(known.sweep, model).layout.gang
        mine = [hold(price, gang, node) for node in nodes]
        if all(held.holds is False for held in mine):
            why = "; ".join(f"{held.node}: {held.said}" for held in mine)
            raise EnvironmentProblem(f"no node type holds model {model.name}: {why}")
        found += mine
    return found


def held_text(found: Sequence[Held], nodes: Sequence[NodeType]) -> str:
    """The table of models and node types, and what its columns mean."""
    types, priced = {node.name: node for node in nodes}, any(node.price is not None for node in nodes)
    head = f"  {'models':<34} {'node type':<12} {'at most':>8} {'nodes':>6} {'groups':>7} {'node-hours':>11}"
    rows = [head + (f" {'cost':>12}" if priced else "")]
    for held in found:
        node = types[held.node]
        most = f"{node.most}{' spot' * node.spot}"
        row = f"  {held.model:<34} {node.name:<12} {most:>8} "
        if held.nodes is None:
            rows.append(row + held.said)
            continue
        row += f"{held.nodes:>6} {held.beside:>7} {number(held.hours, held.least):>11}"
        row += f" {number(held.cost, held.least):>12}" if priced else ""
        rows.append(row + (f"  {held.said}" if held.said else ""))
    rows += [
        "  Nodes: of one worker group. Groups: that fit on those together. Node-hours: with as many groups as fit;",
        "    assumed GPU-hours are those of an H100, stretched by the arithmetic of the type's GPU.",
    ]
    if not priced:
        rows.append(f"  Cost: unknown; a label `{PRICE}` of a node type says what an hour of one costs.")
    return "\n".join(rows)


def room_for(gang: Gang, nodes: Iterable[NodeType]) -> bool:
    """Whether one worker group fits on nodes of these types, all of them up."""
    return sum(_workers_on(gang, node) * node.most for node in nodes) >= gang.workers
