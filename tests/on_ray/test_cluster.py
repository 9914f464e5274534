"""The cluster recipe with a real head: jobs, access control, listening addresses, and `stop`."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from tests.paths import ROOT

PROGRAMS = Path(sys.executable).parent
TEMPLATE = ROOT / "cluster" / "own_machines.yaml"

sys.path.insert(0, str(ROOT / "cluster"))
from local_head import beyond_loopback  # noqa: E402
from ray_head import HeadError, LocalHead  # noqa: E402


def free_ports() -> int:
    """Return the first of three consecutive free ports outside the ranges of Ray and the system."""
    for first in range(24000, 32000, 10):
        try:
            for port in range(first, first + 3):
                socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return first
    raise AssertionError("no three free ports in a row")


@pytest.fixture(scope="module")
def head() -> Iterator[LocalHead]:
    """A running head; the path of its folder is short, because it contains sockets."""
    folder = Path(tempfile.mkdtemp(prefix="lh", dir="/tmp"))
    head = LocalHead(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LTRAY_DATA", str(folder / "data"))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("RAY_worker_niceness", "0")  # on a busy machine Ray's polite workers would starve
        head.start(free_ports())
    try:
        yield head
    finally:
        if head.process():
            head.stop()
        shutil.rmtree(folder)


def submitting(head: LocalHead, *arguments: str, working_dir: Path) -> subprocess.Popen[str]:
    """Start `ray job submit` with the head's settings."""
    command = [PROGRAMS / "ray", "job", "submit", "--log-color=false", "--working-dir", working_dir, "--", *arguments]
    return subprocess.Popen(
        command, env=os.environ | head.settings(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def submit(head: LocalHead, *arguments: str, working_dir: Path) -> tuple[int, str]:
    """Submit a job and wait; return exit code and output."""
    job = submitting(head, *arguments, working_dir=working_dir)
    output, _ = job.communicate(timeout=500)
    return job.returncode, output


@pytest.mark.ray
@pytest.mark.slow
def test_job_returns_output_and_exit_code(head: LocalHead, tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text("import sys\nprint('six times', 7, 'is', 6 * 7)\nsys.exit(int(sys.argv[1]))\n")
    code, output = submit(head, "python", "job.py", "0", working_dir=tmp_path)
    assert (code, "six times 7 is 42" in output) == (0, True), output
    code, output = submit(head, "python", "job.py", "3", working_dir=tmp_path)
    assert (code, "six times 7 is 42" in output) == (1, True), output
    assert "exit code 3" in output


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize(
    "token", [{"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_TOKEN": "0" * 64}], ids=["none", "another"]
)
def test_cluster_refuses_access_without_the_token(head: LocalHead, tmp_path: Path, token: dict[str, str]) -> None:
    command = [PROGRAMS / "ray", "job", "submit", "--working-dir", tmp_path, "--", "touch", tmp_path / "got-in"]
    settings = os.environ | head.settings() | token
    done = subprocess.run(command, env=settings, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode != 0
    assert "AuthenticationError" in done.stderr
    assert not (tmp_path / "got-in").exists()
    assert head.token.stat().st_mode & 0o777 == 0o600 and head.folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.ray
@pytest.mark.slow
def test_training_on_two_workers_listens_only_on_loopback(head: LocalHead) -> None:
    run = head.folder / "run"
    arguments = (
        "python -m ltray.train --methods cross_entropy --dataset digits-lt --workers 2 epochs=1 --output".split()
    )
    job = submitting(head, *arguments, str(run), working_dir=ROOT)
    seen: set[tuple[str, int]] = set()
    while True:
        seen |= head.listening()
        try:
            output, _ = job.communicate(timeout=0.3)
        except subprocess.TimeoutExpired:
            continue
        break
    assert job.returncode == 0, output
    assert "best checkpoint" in output and (run / "best").is_dir()
    assert len(seen) > 10 and beyond_loopback(seen) == []


@pytest.mark.ray
@pytest.mark.slow
def test_a_search_runs_as_a_job(head: LocalHead) -> None:
    run = head.folder / "search"
    arguments = ["search.trials=2", "epochs=1", "stop.rule=none", "--output", str(run)]
    code, output = submit(
        head, *"python -m ltray.tune search_spaces/quickstart.yaml".split(), *arguments, working_dir=ROOT
    )
    assert code == 0, output
    assert (run / "results.csv").is_file()


@pytest.mark.ray
@pytest.mark.slow
def test_stop_ends_only_its_own_processes(head: LocalHead) -> None:
    with subprocess.Popen(["sleep", "600"]) as other:
        processes = head.processes()
        assert len(processes) > 5
        head.stop()
        assert [process for process in processes if process.is_running()] == []
        assert psutil.pid_exists(other.pid) and other.poll() is None
        other.kill()
    with pytest.raises(HeadError, match="No head runs"):
        head.processes()


def test_addresses_of_other_machines_are_distinguished_from_loopback() -> None:
    own = {("127.0.0.1", 1), ("::1", 2), ("::ffff:127.0.0.1", 3), ("127.0.0.9", 4)}
    reachable = {("0.0.0.0", 5), ("::", 6), ("192.0.2.7", 7), ("::ffff:192.0.2.7", 8)}
    assert beyond_loopback(own) == []
    assert len(beyond_loopback(own | reachable)) == len(reachable)


def test_folder_without_a_head_is_reported(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "cluster" / "local_head.py", "env", "--folder", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stdout == ""  # no output for a shell to evaluate
    assert done.stderr.endswith(f"No head runs from {tmp_path}.\n")


def test_template_is_valid_for_ray_up_and_shows_no_token() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    template = yaml.safe_load(TEMPLATE.read_text())
    validate_config(prepare_config(template))
    starts = [
        line
        for commands in (template["head_start_ray_commands"], template["worker_start_ray_commands"])
        for line in commands
        if "ray start" in line
    ]
    assert len(starts) == 2 and all(line.startswith("RAY_AUTH_MODE=token ") for line in starts)
    assert "--dashboard-host=127.0.0.1" in starts[0]
    assert template["max_workers"] == len(template["provider"]["worker_ips"])
    assert "0.0.0.0" not in TEMPLATE.read_text()
