"""Which node type holds which worker group, and what that costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import sweep
from xsweep.errors import EnvironmentProblem, UsageError
from xsweep.models.catalog import MODELS
from xsweep.plan.cells import build_plan
from xsweep.plan.hours import PEAK, Price
from xsweep.plan.nodes import CARDS, held_rows, held_text, hold, room_for
from xsweep.spec.cluster import NodeType, load_nodes
from xsweep.spec.sweep import Gang, Layouts, Training

EIGHT = NodeType("eight", 192, 8, "H100", 2, True, 40.0)
SMALL = NodeType("small", 8, 1, "A10G", 4, True, 1.0)


def price(**fields: Any) -> Price:
    values = {
        "model": "m", "params": 1, "trunk": 1, "workers": 1, "recompute": False, "gigabytes": 20.0, "hours": 80.0,
        "least": False, "measured": False, "cost": None,
    }  # fmt: skip
    return Price(**{**values, **fields})


@pytest.mark.parametrize(
    ("gang", "node", "nodes", "beside", "hours"),
    [
        (Gang(1, 4, 1.0), EIGHT, 1, 8, 10.0),  # eight groups share an hour of the node
        (Gang(4, 4, 1.0), EIGHT, 1, 2, 10.0),
        (Gang(3, 4, 1.0), EIGHT, 1, 2, 80 / 6),  # two GPUs idle
        (Gang(16, 4, 1.0), EIGHT, 2, 1, 10.0),
        (Gang(1, 100, 1.0), EIGHT, 1, 1, 80.0),  # cores allow one
        (Gang(1, 1, 1.0), SMALL, 1, 1, 80 * PEAK / CARDS["A10G"][1]),
        (Gang(1, 1, 0.25), EIGHT, 1, 32, 10.0),
        (Gang(1, 1, 0.4), EIGHT, 1, 16, 80 / 0.4 / 16),  # parts lie on one GPU: two of 0.4 each
    ],
)
def test_groups_on_a_node(gang: Gang, node: NodeType, nodes: int, beside: int, hours: float) -> None:
    held = hold(price(gigabytes=5.0), gang, node)
    assert (held.holds, held.nodes, held.beside) == (True, nodes, beside)
    assert held.hours == pytest.approx(hours)
    assert held.cost == pytest.approx(hours * (node.price or 0.0))


@pytest.mark.parametrize(
    ("gang", "node", "said"),
    [
        (Gang(1, 9, 1.0), SMALL, "takes 9 CPU and 1 GPU, a node has 8 CPU and 1 GPU"),
        (Gang(1, 1, 2.0), SMALL, "1 CPU and 2 GPU"),
        (Gang(32, 1, 1.0), EIGHT, "takes 4 nodes, of at most 2"),
        (Gang(1, 1, 0.5), SMALL, "20 GB of a GPU, of 11 GB that A10G gives it"),
    ],
)
def test_what_a_node_type_does_not_hold(gang: Gang, node: NodeType, said: str) -> None:
    held = hold(price(), gang, node)
    assert held.holds is False
    assert said in held.said


def test_unknown_stays_unknown() -> None:
    gang = Gang(1, 1, 1.0)
    assert hold(price(), gang, NodeType("x", None, None, "", 1, False, 1.0)).holds is None
    unnamed = hold(price(), gang, NodeType("x", 8, 1, "", 1, False, 1.0))
    assert (unnamed.holds, unnamed.hours, unnamed.cost) == (None, None, None)
    assert hold(price(gigabytes=None), gang, EIGHT).holds is None
    assert hold(price(hours=None), gang, EIGHT).cost is None
    assert hold(price(measured=True), gang, SMALL).hours == 80.0  # a measured rate is of whatever ran
    assert hold(price(), gang, NodeType("x", 8, 1, "H100", 1, False, None)).cost is None


@given(
    st.integers(1, 40), st.integers(1, 64), st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0, 2.0]), st.integers(0, 200),
    st.integers(0, 16), st.integers(1, 5),
)  # fmt: skip
def test_what_is_held_fits_by_count(
    workers: int, cpus: int, gpus: float, node_cpus: int, node_gpus: int, most: int
) -> None:
    gang, node = Gang(workers, cpus, gpus), NodeType("x", node_cpus, node_gpus, "H100", most, False, None)
    held = hold(price(gigabytes=1.0), gang, node)
    assert (held.holds is True) == room_for(gang, [node])
    if held.holds:
        assert held.nodes is not None
        assert held.beside is not None
        assert workers * cpus * held.beside <= node_cpus * held.nodes
        assert workers * gpus * held.beside <= node_gpus * held.nodes + 1e-6
        assert held.nodes == 1 or held.beside == 1


def test_the_shipped_cluster_holds_every_size_of_the_headline_sweep() -> None:
    root = Path(__file__).resolve().parents[2]
    nodes = load_nodes(root / "cluster.yaml")
    names = ("xlmr-base", "xlmr-large", "xlmr-xl", "xlmr-xxl")
    of = sweep(
        models=tuple(MODELS[name] for name in names),
        train=Training(precision="bf16"),
        layout=Layouts(gpus=1.0, cpus=4, tokens=16384),
    )
    rows = held_rows(build_plan(of), None, nodes)
    holding = {name: [row.node for row in rows if row.model == name and row.holds] for name in names}
    assert holding == {
        "xlmr-base": ["small", "single", "eight"],
        "xlmr-large": ["single", "eight"],
        "xlmr-xl": ["single", "eight"],
        "xlmr-xxl": ["single", "eight"],
    }
    text = held_text(rows, nodes)
    assert "price-per-hour" in text  # none is shipped, so none is claimed
    assert all(len(line) <= 120 for line in text.splitlines())


def test_a_model_that_fits_nowhere_is_exit_5_with_every_reason() -> None:
    of = sweep(models=(MODELS["xlmr-large"],), train=Training(precision="bf16"), layout=Layouts(gpus=1.0, tokens=16384))
    with pytest.raises(EnvironmentProblem, match=r"no node type holds model xlmr-large: small: .* GB") as refused:
        held_rows(build_plan(of), None, [SMALL])
    assert refused.value.exit_code == 5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "no YAML"),
        ("- 1", "available_node_types"),
        ("available_node_types: {x: 3}", "available_node_types.x: not a mapping"),
        ("available_node_types: {x: {resources: {GPU: many}}}", "x.resources.GPU: 'many' is no number"),
        ("available_node_types: {x: {labels: {price-per-hour: free}}}", "x.labels.price-per-hour: 'free'"),
        ("max_workers: -1\navailable_node_types: {x: {}}", "max_workers: -1"),
    ],
)
def test_a_wrong_cluster_file_is_said_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(text)
    with pytest.raises(UsageError, match=r"cluster\.yaml") as refused:
        load_nodes(file)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_cluster_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load_nodes(tmp_path / "none.yaml")


def test_prices_and_spot_are_read_from_the_file(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(
        "max_workers: 3\nhead_node_type: head\navailable_node_types:\n"
        "  head: {resources: {CPU: 4}, max_workers: 0}\n"
        "  a:\n    resources: {CPU: 8, GPU: 1}\n    labels: {price-per-hour: '1.5'}\n"
        "    node_config: {scheduling: {preemptible: true}}\n"
        "  b: {resources: {}, node_config: {azure_arm_parameters: {priority: Spot}}, max_workers: 1}\n"
    )
    assert load_nodes(file) == [
        NodeType("head", 4.0, 0.0, "", 1, False, None),
        NodeType("a", 8.0, 1.0, "", 3, True, 1.5),
        NodeType("b", None, None, "", 1, True, None),
    ]
