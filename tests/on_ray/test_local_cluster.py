"""The local cluster of a command: its folder, its start arguments, and messages about failures."""

import os
import signal
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
import ray._private.services as services
import ray._private.worker as ray_worker
from ray._private.node import Node

from ltray.errors import UsageError
from ltray.on_ray import _compat, cluster, local_cluster
from ltray.on_ray import running_clusters as running
from ltray.on_ray._compat import NotStarted, patient_start
from ltray.one_worker.launcher import OneWorker
from ltray.space.search_settings import TrialResources


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("RAY_")]:
        monkeypatch.setenv(name, os.environ[name])  # restored after every test
    for name in ("RAY_ADDRESS", "RAY_TMPDIR", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(cluster, "running_clusters", list)
    monkeypatch.setattr(running, "running_clusters", list)
    monkeypatch.setattr(cluster, "follow_node", lambda: None)
    return tmp_path


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a path short enough for sockets; pytest's path may be too long."""
    monkeypatch.setattr(local_cluster, "SOCKET_PATH_LIMIT", 4096)
    return Path()


@pytest.fixture
def init_calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, short: Path) -> list[dict[str, Any]]:
    """The recorded arguments of `ray.init`, which is not executed."""
    found: list[dict[str, Any]] = []

    def init(**options: Any) -> None:
        found.append(options | {"environment": dict(os.environ)})
        signal.signal(signal.SIGTERM, lambda number, frame: None)
        os.environ["RAY_AUTH_MODE"] = "token"

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    return found


@pytest.mark.parametrize("address", [None, "", "  ", "local", "LOCAL"])
def test_local_cluster_starts_on_loopback_without_discovery(
    init_calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, address: str | None
) -> None:
    if address is not None:
        monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setenv("RAY_REDIS_ADDRESS", "192.0.2.7:6379")
    monkeypatch.setenv("RAY_GCS_SERVER_PORT", "6379")
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "1")
    cluster.connect()
    (options,) = init_calls
    assert options["address"] == "local" and options["_node_ip_address"] == "127.0.0.1"
    assert options["include_dashboard"] is False and options["object_store_memory"] <= 1 << 28
    # A late answer of a busy machine is not a death; Ray's own limits are 10 s, 5 and 60 s.
    patience = options["_system_config"]
    assert patience["health_check_timeout_ms"] * patience["health_check_failure_threshold"] >= 20 * 60 * 1000
    assert patience["worker_register_timeout_seconds"] >= 300
    environment = options["environment"]
    assert environment["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "0"
    assert not environment.keys() & {"RAY_REDIS_ADDRESS", "RAY_GCS_SERVER_PORT"}
    assert stat.S_IMODE(Path(options["_temp_dir"]).parent.stat().st_mode) == 0o700
    assert stat.S_IMODE((Path.home() / ".ray" / "auth_token").stat().st_mode) == 0o600


def test_signals_and_environment_are_restored(init_calls: list[dict[str, Any]]) -> None:
    before, ending = dict(os.environ), signal.getsignal(signal.SIGTERM)
    cluster.connect()
    assert signal.getsignal(signal.SIGTERM) is ending and os.environ["RAY_AUTH_MODE"] == "token"
    assert ray_worker.print_to_stdstream is not _compat.PRINT
    cluster.disconnect()
    assert ray_worker.print_to_stdstream is _compat.PRINT
    assert dict(os.environ) == before
    cluster.disconnect()  # of a command that did not connect
    assert dict(os.environ) == before


def test_signals_and_environment_are_restored_after_a_refused_start(
    init_calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    init = ray.init

    def fail(**options: Any) -> None:
        init(**options)
        raise NotStarted("its node service (raylet) has exited (its logs: /tmp/x)")

    monkeypatch.setattr(ray, "init", fail)
    before, ending = dict(os.environ), signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit, match="1"):
        cluster.connect()
    assert dict(os.environ) == before and signal.getsignal(signal.SIGTERM) is ending
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "failed: Ray did not start on this machine: its node service (raylet) has exited (its logs: /tmp"
    )
    assert "run the same command again" in line


def test_running_cluster_of_the_user_is_mentioned_with_the_join_command(
    init_calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = running.Running(
        running.Address("192.0.2.7", 6379), (("RAY_AUTH_MODE", "token"), ("RAY_AUTH_TOKEN_PATH", "a b"))
    )
    monkeypatch.setattr(running, "running_clusters", lambda: [found])
    cluster.connect()
    (line,) = capsys.readouterr().err.splitlines()
    assert "runs on this machine, but this command starts a separate one" in line
    assert line.endswith("export RAY_ADDRESS=192.0.2.7:6379 RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH='a b'")
    with OneWorker(TrialResources()):
        assert "runs on this machine, but this command does not use it" in capsys.readouterr().err


def test_too_long_path_is_refused_before_ray_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/tmp/" + "x" * 60)
    with pytest.raises(UsageError, match=r"TMPDIR=/tmp/x+: too long .* at most 107.*export RAY_TMPDIR=/tmp"):
        local_cluster.private_folder()


def test_longest_accepted_path_is_accepted_by_ray(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(local_cluster.Path, "mkdir", lambda *message, **options: None)
    longest = 0
    for length in range(1, 100):
        monkeypatch.setenv("TMPDIR", "/" + "x" * length)
        try:
            local_cluster.private_folder()
        except UsageError as error:
            longest += "too long" not in str(error)
    folder = f"/{'x' * longest}/{running.own_folder_name()}/r"
    limit = len(f"{folder}/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store")
    assert longest > 20 and limit == 107


@pytest.mark.parametrize("variable", ["TMPDIR", "RAY_TMPDIR"])
@pytest.mark.parametrize("kind", ["absent", "a file", "not a folder of ours", "no folder"])
def test_unusable_folder_is_refused_with_a_sentence(
    tmp_path: Path, short: Path, monkeypatch: pytest.MonkeyPatch, variable: str, kind: str
) -> None:
    base = tmp_path / "base"
    if kind == "a file":
        base.touch()
    elif kind != "absent":
        base.mkdir()
        own = base / running.own_folder_name()
        if kind == "no folder":
            own.symlink_to(tmp_path)
        else:
            own.mkdir()
            monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
            own.rename(base / running.own_folder_name())
    monkeypatch.setenv(variable, str(base))
    with pytest.raises(UsageError, match="RAY_TMPDIR=DIR") as caught:
        local_cluster.private_folder()
    assert str(base) in str(caught.value)


def test_folder_permissions_are_restricted_to_the_user(
    tmp_path: Path, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / running.own_folder_name()
    own.mkdir(mode=0o755)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    assert local_cluster.private_folder().parent == own and stat.S_IMODE(own.stat().st_mode) == 0o700


class Starting:
    """A starting node of Ray, simulated by the exit codes of its processes."""

    def __init__(self, **codes: int | None) -> None:
        self.all_processes = {
            kind: [SimpleNamespace(process=SimpleNamespace(poll=lambda code=code: code))]
            for kind, code in codes.items()
        }
        self.killed = False

    def kill_all_processes(self, **options: bool) -> None:
        """Record that all processes were killed."""
        self.killed = True

    def get_logs_dir_path(self) -> str:
        """Return what Ray would."""
        return "/tmp/logs"


def start(
    node: Starting, monkeypatch: pytest.MonkeyPatch, *, limit: float, answers_after: int, notices: list[int]
) -> None:
    """Run Ray's start of a node whose control service answers after a number of requests."""
    init_calls = []

    def get_node(address: str, number: str) -> dict[str, str]:
        init_calls.append(address)
        if len(init_calls) <= answers_after:
            raise RuntimeError("This node has an IP address of …, and Ray expects …")
        return {}

    monkeypatch.setattr(Node, "start_head_processes", lambda self: None)
    monkeypatch.setattr(services, "get_node", get_node)
    monkeypatch.setattr(_compat.time, "sleep", lambda seconds: None)
    before = services.get_node, Node.start_head_processes
    try:
        with patient_start(limit, lambda: notices.append(1)):
            Node.start_head_processes(node)
            assert services.get_node("127.0.0.1:1", "n") == {}
    finally:
        assert (services.get_node, Node.start_head_processes) == before


def test_slow_node_start_has_a_longer_timeout_than_in_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(10_000))
    monkeypatch.setattr(_compat.time, "monotonic", lambda: float(next(clock)))
    notices: list[int] = []
    node = Starting(gcs_server=None, raylet=None)
    start(node, monkeypatch, limit=300, answers_after=200, notices=notices)
    assert notices == [1] and not node.killed


def test_node_that_never_starts_is_killed_after_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(10_000))
    monkeypatch.setattr(_compat.time, "monotonic", lambda: float(next(clock)))
    node = Starting(gcs_server=None, raylet=None)
    with pytest.raises(NotStarted, match=r"did not start within 300 s \(its logs: /tmp/logs\)"):
        start(node, monkeypatch, limit=300, answers_after=9999, notices=[])
    assert node.killed


@pytest.mark.parametrize(("kind", "name"), [("gcs_server", "control service"), ("raylet", "node service")])
def test_dead_process_of_a_node_ends_the_start(monkeypatch: pytest.MonkeyPatch, kind: str, name: str) -> None:
    node = Starting(**{"gcs_server": None, "raylet": None, kind: 1})
    with pytest.raises(NotStarted, match=f"its {name} .* has exited"):
        start(node, monkeypatch, limit=300, answers_after=9999, notices=[])
    assert node.killed


def test_replaced_private_parts_of_ray_are_in_use() -> None:
    assert "services.get_node(" in Path(ray._private.node.__file__).read_text()
    assert "self.start_head_processes()" in Path(ray._private.node.__file__).read_text()
    assert "if not ray_constants.ENABLE_RAY_CLUSTER" in Path(services.__file__).read_text()
    assert "            print_to_stdstream(" in Path(ray_worker.__file__).read_text()
    assert hasattr(ray_worker, "_global_node") and hasattr(ray._raylet, "AuthenticationTokenLoader")
