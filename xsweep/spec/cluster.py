"""The node types that a Ray cluster may have: those of a cluster file, as `ray up` reads it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from xsweep.errors import UsageError

PRICE = "price-per-hour"
"""The label of a node type that says what an hour of one node costs."""
_ACCELERATOR = "accelerator_type:"
"""How Ray names the resource that tells which GPU a node has."""


@dataclass(frozen=True)
class NodeType:
    """Nodes of one kind."""

    name: str
    cpus: float | None
    gpus: float | None
    """Of one node; None where the file leaves them to the cloud."""
    accelerator: str
    """Ray's name of its GPU, such as "H100"; empty when the file does not tell."""
    most: int
    """Nodes of the kind at once."""
    spot: bool
    price: float | None
    """Of one node for an hour, in whatever currency; None when the file does not tell."""
    drivers: float = 0.0
    """Of submitted sweeps at once that a node has room for, by its resource ``driver``."""


def load_nodes(path: Path) -> list[NodeType]:
    """The node types of a cluster file, in its order; raises ``UsageError`` where it is none."""
    try:
        config = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: this is no YAML: {' '.join(str(error).split())}") from error
    types = config.get("available_node_types") if isinstance(config, dict) else None
    if not isinstance(types, dict) or not types:
        raise UsageError(f"{path}: no `available_node_types`, so this is no cluster file of Ray's autoscaler")
    most = config.get("max_workers", 2)  # Ray's default
    return [_node_type(path, str(name), told, config.get("head_node_type"), most) for name, told in types.items()]


def _node_type(path: Path, name: str, told: Any, head: Any, most: Any) -> NodeType:
    where = f"{path}: available_node_types.{name}"
    if not isinstance(told, dict):
        raise UsageError(f"{where}: not a mapping")
    resources, labels, nodes = told.get("resources") or {}, told.get("labels") or {}, told.get("node_config") or {}
    if not all(isinstance(part, dict) for part in (resources, labels, nodes)):
        raise UsageError(f"{where}: `resources`, `labels` and `node_config` are mappings")
    amounts = {key: _amount(f"{where}.resources.{key}", value) for key, value in resources.items()}
    whole = _amount(f"{path}: max_workers", most)
    own = _amount(f"{where}.max_workers", told.get("max_workers", most))
    return NodeType(
        name=name,
        cpus=amounts.get("CPU"),
        gpus=amounts.get("GPU", 0.0) if amounts else None,
        accelerator=next((key.removeprefix(_ACCELERATOR) for key in amounts if key.startswith(_ACCELERATOR)), ""),
        most=int(min(whole, own)) + (name == head),
        spot=_spot(nodes),
        price=_amount(f"{where}.labels.{PRICE}", labels[PRICE]) if PRICE in labels else None,
        drivers=amounts.get("driver", 0.0),
    )


def _amount(where: str, told: Any) -> float:
    try:
        value = float(told)
    except (TypeError, ValueError):
        value = math.nan
    if not 0 <= value < math.inf:
        raise UsageError(f"{where}: {told!r} is no number from 0 on")
    return value


def _spot(node_config: Mapping[str, Any]) -> bool:
    """Whether nodes may be taken away: as AWS, Google and Azure spell it."""
    market, scheduling = node_config.get("InstanceMarketOptions"), node_config.get("scheduling")
    azure = node_config.get("azure_arm_parameters")
    return (
        (isinstance(market, dict) and market.get("MarketType") == "spot")
        or _first(scheduling).get("preemptible") is True
        or _first(scheduling).get("provisioningModel") == "SPOT"
        or (isinstance(azure, dict) and str(azure.get("priority")).lower() == "spot")
    )


def _first(told: Any) -> Mapping[str, Any]:
    """Google's ``scheduling`` stands in the file as a mapping, or as a list of them."""
    found = told[0] if isinstance(told, list) and told else told
    return found if isinstance(found, dict) else {}
