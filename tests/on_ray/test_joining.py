"""The Ray cluster that a real command uses: its own on loopback, another one with its token, or none."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ltray.on_ray.running_clusters import running_clusters
from ltray.run_folder import RunFolder
from tests.on_ray import commands

pytestmark = [pytest.mark.ray, pytest.mark.ffcv, pytest.mark.slow]

TRAIN = ["--methods", "cross_entropy", "--dataset", "digits-lt", *commands.SMALL, "schedule=cosine"]
ON_RAY = ["--workers", "2"]  # a single worker without an address does not need Ray
TOKEN = "ab" * 32


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for Ray and a home whose paths are short enough for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="lr", dir="/tmp"))
    monkeypatch.setenv("RAY_TMPDIR", str(folder))
    monkeypatch.setenv("HOME", str(folder))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def guarded(short: Path) -> Iterator[str]:
    """The address of a cluster that requires a token."""
    token = short / "token"
    token.touch(mode=0o600)
    token.write_text(TOKEN)
    arguments = (
        "start --head --port=0 --num-cpus=2 --include-dashboard=false --dashboard-agent-listen-port=0 --block".split()
    )
    head = subprocess.Popen(
        [Path(sys.executable).parent / "ray", *arguments, "--disable-usage-stats", f"--temp-dir={short}/h"],
        env=os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 120
        found: set[str] = set()
        while not found:
            assert head.poll() is None and time.monotonic() < deadline
            time.sleep(0.5)
            found = {
                str(one.address) for one in running_clusters() if ("RAY_AUTH_TOKEN_PATH", str(token)) in one.settings
            }
        time.sleep(3)
        yield found.pop()
    finally:
        family = [head, *psutil.Process(head.pid).children(recursive=True)]
        head.terminate()
        try:
            head.wait(60)
        except subprocess.TimeoutExpired:
            head.kill()
        for one in family[1:]:
            if one.is_running():
                one.kill()


def listening(process: subprocess.Popen) -> set[str]:
    """Return the addresses on which a command and its children listen."""
    found = set()
    for one in [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]:
        try:
            connections = one.net_connections(kind="inet")
        except psutil.Error:
            continue
        found |= {connection.laddr.ip for connection in connections if connection.status == psutil.CONN_LISTEN}
    return found


@pytest.mark.parametrize("address", [None, "", "local"])
def test_command_without_address_starts_ray_on_loopback(
    short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str | None
) -> None:
    monkeypatch.setattr(commands, "environment", lambda data: given | {"LTRAY_DATA": str(data)})
    given = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    given |= {} if address is None else {"RAY_ADDRESS": address}
    (short / "ray").mkdir()
    (short / "ray" / "ray_current_cluster").write_text("192.0.2.1:6379")  # no machine has this address
    arguments = [*TRAIN, *ON_RAY, "epochs=300", "--output", str(tmp_path / "run")]
    with commands.started("train", *arguments, data=tmp_path, reached=lambda text: "epoch 2/" in text) as (process, _):
        assert listening(process) and listening(process) <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=120) == 130
    assert (short / ".ray" / "auth_token").stat().st_mode & 0o777 == 0o600
    assert (short / f"ray-{os.getuid()}").stat().st_mode & 0o777 == 0o700


def test_cluster_with_a_token_is_joined_only_with_it(
    short: Path, guarded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "environment", lambda data: os.environ | given | {"LTRAY_DATA": str(data)})
    arguments = [*TRAIN, "epochs=1", "--output", str(tmp_path / "run")]
    for given, expected in (
        ({}, f"The cluster at {guarded} requires a token: export RAY_AUTH_MODE=token (and RAY_AUTH_TOKEN_PATH"),
        (
            {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "cd" * 32},
            f"The cluster at {guarded} does not accept the token",
        ),
        ({"RAY_AUTH_MODE": "token"}, "there is no token in"),
    ):
        given |= {"RAY_ADDRESS": guarded}
        printed = commands.run("train", *arguments, data=tmp_path, code=2)
        assert expected in printed and "gcs_client" not in printed and not (tmp_path / "run").exists()
    given = {"RAY_ADDRESS": guarded, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(short / "token")}
    assert "epoch 1/1" in commands.run("train", *arguments, data=tmp_path)
    given |= {"RAY_ADDRESS": guarded.replace(guarded.rpartition(":")[0], "127.0.0.1")}
    assert "epoch 1/1" in commands.run("train", *arguments[:-1], str(tmp_path / "second"), data=tmp_path)


def test_dead_control_service_ends_the_command_with_a_sentence(short: Path, tmp_path: Path) -> None:
    arguments = [*TRAIN, *ON_RAY, "epochs=300", "--output", str(tmp_path / "run")]
    with commands.started("train", *arguments, data=tmp_path, reached=lambda text: "epoch 2/" in text) as (
        process,
        log,
    ):
        commands.kill(process, "gcs_server")
        assert process.wait(timeout=30) == 1
    printed = log.read_text()
    assert "failed: Ray has stopped: its control service (GCS) has exited; run the same command" in printed
    assert "Traceback" not in printed and ".cc:" not in printed and "rpc_client" not in printed


def test_repeatedly_dying_worker_is_reported(short: Path, tmp_path: Path) -> None:
    arguments = [*TRAIN, *ON_RAY, "epochs=60", "--output", str(tmp_path / "run")]
    reached = iter((4, 12, 20))
    with commands.started("train", *arguments, data=tmp_path, reached=lambda text: "epoch 4/" in text) as (
        process,
        log,
    ):
        for epoch in reached:
            while f"epoch {epoch}/" not in log.read_text():
                assert process.poll() is None, log.read_text()
                time.sleep(0.05)
            commands.kill(process, "RayTrainWorker")
        assert process.wait(timeout=400) == 0, log.read_text()
    messages = re.findall(
        r"the run was interrupted: worker \d: its process exited .*; it continues from epoch (\d+) \((.*)\)",
        log.read_text(),
    )
    assert "(raylet)" not in log.read_text()
    assert len(messages) == 3 and {arguments for _, arguments in messages} == {"retries left: 0"}
    assert [row["total_epochs"] for row in RunFolder(tmp_path / "run").history()] == list(range(1, 61))


def test_refused_start_leaves_nothing(short: Path, tmp_path: Path) -> None:
    printed = commands.run(
        "train", *TRAIN, "--workers", "500", "--output", str(tmp_path / "run"), data=tmp_path, code=2
    )
    assert "too little" in printed or "cores" in printed
    assert not (tmp_path / "run").exists()
