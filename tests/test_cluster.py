"""cluster.yaml passes Ray's own validator, offline."""

from __future__ import annotations

from pathlib import Path

import yaml

CLUSTER = Path(__file__).resolve().parent.parent / "cluster.yaml"


def test_rays_validator_takes_it() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = prepare_config(yaml.safe_load(CLUSTER.read_text()))
    validate_config(config)
    assert config["available_node_types"]["gpu"]["min_workers"] == 0, "workers scale from zero"


def test_the_image_holds_a_ray_that_the_package_allows() -> None:
    import tomllib

    image = yaml.safe_load(CLUSTER.read_text())["docker"]["image"]
    wanted = tomllib.loads((CLUSTER.parent / "pyproject.toml").read_text())["project"]["dependencies"]
    assert ":2.60." in image
    assert any(line.startswith("ray[") and ">=2.60" in line for line in wanted)
