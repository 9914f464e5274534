"""The files for `ray up`, checked with Ray's own schema and defaults."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.paths import ROOT

SCHEMA = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text())
AWS, OWN = ROOT / "cluster" / "aws_spot.yaml", ROOT / "cluster" / "own_machines.yaml"


def content(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize("path", [AWS, OWN], ids=lambda path: path.stem)
def test_file_follows_rays_schema(path: Path) -> None:
    jsonschema.validate(content(path), SCHEMA)
    prepared = prepare_config(content(path))
    validate_config(prepared)  # with Ray's defaults: fields of the head and the workers, numbers of nodes


@pytest.mark.parametrize("path", [AWS, OWN], ids=lambda path: path.stem)
def test_ray_requires_the_token_and_hides_the_dashboard(path: Path) -> None:
    config = content(path)
    starts = [
        line
        for key in ("head_start_ray_commands", "worker_start_ray_commands")
        for line in config[key]
        if "ray start" in line
    ]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token" in line for line in starts)
    (head,) = [line for line in starts if "--head" in line]
    assert "--dashboard-host=127.0.0.1" in head
    # The token is copied into a private folder, and nobody else can read it afterwards.
    assert "~/.ray/auth_token" in config["file_mounts"]
    assert any(line.startswith("umask 077 && mkdir -p ~/.ray") for line in config["initialization_commands"])
    assert "chmod 600 ~/.ray/auth_token" in config["setup_commands"]


def test_only_training_nodes_in_aws_are_spot_instances() -> None:
    config = content(AWS)
    types = config["available_node_types"]
    markets = {name: one["node_config"].get("InstanceMarketOptions") for name, one in types.items()}
    assert markets == {config["head_node_type"]: None, "gpu": {"MarketType": "spot"}}
    assert types[config["head_node_type"]]["resources"] == {"CPU": 0, "GPU": 0}
    assert 1 <= types["gpu"]["min_workers"] <= types["gpu"]["max_workers"] <= config["max_workers"]
    assert config["provider"]["cache_stopped_nodes"] is False  # AWS terminates a spot instance
    for node in types.values():
        assert node["node_config"]["MetadataOptions"]["HttpTokens"] == "required"
        assert all(disk["Ebs"]["Encrypted"] for disk in node["node_config"]["BlockDeviceMappings"])


def test_nodes_in_aws_admit_ssh_from_one_address() -> None:
    (rule,) = content(AWS)["provider"]["security_group"]["IpPermissions"]
    assert (rule["FromPort"], rule["ToPort"], rule["IpProtocol"]) == (22, 22, "TCP")
    assert rule["IpRanges"] == [{"CidrIp": "YOUR_ADDRESS/32"}]


def test_nodes_in_aws_share_a_folder_and_the_converted_data() -> None:
    config = content(AWS)
    assert any(" mount " in line and "/shared" in line for line in config["initialization_commands"])
    starts = [*config["head_start_ray_commands"], *config["worker_start_ray_commands"]]
    assert all("LTRAY_DATA=/shared/" in line for line in starts if "ray start" in line)
    assert any("LTRAY_DATA=/shared/" in line for line in config["setup_commands"])
