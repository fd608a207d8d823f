"""cluster.yaml passes Ray's own validator, offline."""

from __future__ import annotations

from pathlib import Path

import yaml

CLUSTER = Path(__file__).resolve().parent.parent / "cluster.yaml"


def test_rays_validator_takes_it() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = prepare_config(yaml.safe_load(CLUSTER.read_text()))
    validate_config(config)
    types = config["available_node_types"]
    assert all(one["min_workers"] == 0 for one in types.values()), "workers scale from zero"
    head = types.pop(config["head_node_type"])
    assert head["resources"]["driver"] > 0
    assert "InstanceMarketOptions" not in head["node_config"], "the head is not taken away"
    assert all(one["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"} for one in types.values())


def test_every_node_wants_the_token_and_nothing_listens_for_strangers() -> None:
    config = yaml.safe_load(CLUSTER.read_text())
    starts = [line for of in ("head", "worker") for line in config[f"{of}_start_ray_commands"] if "ray start" in line]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token" in line for line in starts)
    assert "--dashboard-host=127.0.0.1" in starts[0]
    assert "mlflow server --host 127.0.0.1" in CLUSTER.read_text()
    assert "0.0.0.0" not in CLUSTER.read_text()
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"


def test_every_line_that_a_stranger_must_change_says_so() -> None:
    lines = CLUSTER.read_text().splitlines()
    foreign = [line for line in lines if any(word in line for word in ("region:", "InstanceType:", "Profile:"))]
    assert len(foreign) == 8
    assert all("# CHANGE" in line for line in foreign)


def test_the_image_holds_a_ray_that_the_package_allows() -> None:
    import tomllib

    image = yaml.safe_load(CLUSTER.read_text())["docker"]["image"]
    wanted = tomllib.loads((CLUSTER.parent / "pyproject.toml").read_text())["project"]["dependencies"]
    assert ":2.60." in image
    assert any(line.startswith("ray[") and ">=2.60" in line for line in wanted)
