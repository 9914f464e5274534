"""Running Ray clusters of this user on this machine, found by the command lines of their node services."""

import os
from types import SimpleNamespace

import psutil
import pytest

from ltray.errors import UsageError
from ltray.on_ray import running_clusters as running
from ltray.on_ray.running_clusters import Running, only_cluster, own_folder_name, running_clusters
from ltray.ray_address import Address

FIRST, SECOND = Running(Address("192.0.2.7", 6379)), Running(Address("127.0.0.1", 26379))


def raylet(address: str, *, folder: str = "/tmp/ray", uid: int | None = None, name: str = "raylet", **variables: str):
    """Return a node service in the form of psutil."""
    arguments = [
        "/site-packages/ray/core/src/ray/raylet/raylet",
        f"--raylet_socket_name={folder}/session_1/sockets/raylet",
        f"--python_worker_command=python default_worker.py --gcs-address={address} --temp-dir={folder}",
        f"--dashboard_agent_command=python agent.py --gcs-address={address}",
    ]
    info = {"name": name, "uids": SimpleNamespace(real=os.getuid() if uid is None else uid), "status": "sleeping"}
    return SimpleNamespace(info=info, cmdline=lambda: arguments, environ=lambda: variables)


def found(monkeypatch: pytest.MonkeyPatch, *processes: object) -> list[Running]:
    monkeypatch.setattr(psutil, "process_iter", lambda fields: iter(processes))
    return running_clusters()


def test_each_cluster_is_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [raylet("192.0.2.7:6379"), raylet("127.0.0.1:26379"), raylet("192.0.2.7:6379")]
    assert found(monkeypatch, *nodes) == [SECOND, FIRST]


def test_processes_of_other_users_and_programs_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    others = [
        raylet("192.0.2.7:1", uid=os.getuid() + 1),
        raylet("192.0.2.7:2", name="bash"),
        raylet("192.0.2.7:3", folder=f"/tmp/{own_folder_name()}/r"),
        raylet("None"),
    ]
    assert found(monkeypatch, *others, raylet("192.0.2.7:6379")) == [FIRST]


def test_ended_or_unreadable_process_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for error in (psutil.NoSuchProcess(7), psutil.AccessDenied(7), psutil.ZombieProcess(7)):
        gone = raylet("192.0.2.7:1")

        def fail(error: Exception = error) -> None:
            raise error

        gone.environ = fail
        assert found(monkeypatch, gone) == []
    zombie = raylet("192.0.2.7:1")
    zombie.info["status"] = psutil.STATUS_ZOMBIE
    assert found(monkeypatch, zombie) == []


def test_join_command_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": "/tmp/a b", "SECRET": "x", "RAY_AUTH_TOKEN": "secret"}
    (one,) = found(monkeypatch, raylet("192.0.2.7:6379", **settings))
    assert one.export() == "export RAY_ADDRESS=192.0.2.7:6379 RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH='/tmp/a b'"
    (one,) = found(monkeypatch, raylet("192.0.2.7:6379", RAY_AUTH_TOKEN_PATH="/tmp/x"))
    assert one.export() == "export RAY_ADDRESS=192.0.2.7:6379"


def test_auto_needs_exactly_one_cluster() -> None:
    assert only_cluster([FIRST]) == FIRST
    with pytest.raises(UsageError, match="RAY_ADDRESS=auto: you have no Ray cluster on this machine"):
        only_cluster([])
    with pytest.raises(UsageError, match="you have several Ray clusters .* 192.0.2.7:6379, 127.0.0.1:26379"):
        only_cluster([FIRST, SECOND])


def test_ray_starts_its_node_service_with_these_arguments() -> None:
    from pathlib import Path

    from ray._private import services

    source = Path(services.__file__).read_text()
    assert f'f"{running.SOCKET_FLAG}' in source and f'"{running.ADDRESS_FLAG}' in source
