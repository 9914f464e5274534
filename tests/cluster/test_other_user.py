"""Another Unix user of this machine: what it can read, and that no cluster accepts its jobs."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.on_ray.commands import LIMIT, SMALL, environment, started
from tests.paths import ROOT

NOBODY = 65534
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to run a process as another user"),
]
READ = """
import os, sys
found = []
for place in sys.argv[1:]:
    try:
        found += os.listdir(place) if os.path.isdir(place) else [open(place).read()]
    except PermissionError:
        pass
print(found)
"""
ASK = """
import sys, urllib.error, urllib.request
port, token = sys.argv[1:]
for path, body in (("/api/jobs/", None), ("/api/jobs/", b'{"entrypoint": "touch /tmp/ltray-taken"}')):
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    try:
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers)
        print(path, urllib.request.urlopen(request, timeout=30).status)
    except urllib.error.HTTPError as error:
        print(path, error.code)
"""


def as_other(program: str, *arguments: str) -> str:
    """Run a Python program as another user, with the system's Python; return what it prints."""
    done = subprocess.run(
        ["/usr/bin/python3", "-I", "-c", program, *arguments],
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        cwd="/",
        env={},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_other_user_reads_neither_a_run_nor_the_data(open_folder: Path) -> None:
    run, data = open_folder / "run", open_folder / "data"
    words = ["--methods", "cross_entropy", "--dataset", "digits-lt", *SMALL, "epochs=1", "--output", str(run)]
    before = os.umask(0o000)  # the most open
    try:
        subprocess.run([sys.executable, "-m", "ltray.train", *words], env=environment(data), check=True)
    finally:
        os.umask(before)
    files = [str(path) for path in (*run.rglob("*"), *data.rglob("*"))]
    assert len(files) > 8
    assert as_other(READ, str(run), str(data), *files) == "[]"
    run.chmod(0o755)  # shared on purpose
    assert "config.yaml" in as_other(READ, str(run))


@pytest.fixture
def head() -> Iterator[dict[str, str]]:
    """The variables for a running head of `cluster/local_head.py`, with its folder and its port."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = str(one.getsockname()[1])
    folder = Path("/tmp") / f"lh{os.getpid()}"
    command = [sys.executable, str(ROOT / "cluster" / "local_head.py")]
    options = ["--folder", str(folder), "--port", port]
    subprocess.run([*command, "start", *options], check=True, timeout=LIMIT)
    try:
        yield {"folder": str(folder), "port": port}
    finally:
        subprocess.run([*command, "stop", *options], check=True, timeout=LIMIT)
        subprocess.run(["rm", "-r", str(folder)], check=True)


@pytest.mark.ray
def test_other_user_neither_reads_the_token_nor_submits_a_job_to_the_local_head(head: dict[str, str]) -> None:
    folder = Path(head["folder"])
    token = (folder / "token").read_text()
    files = [str(path) for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 3
    assert as_other(READ, str(folder), *files) == "[]"
    for wrong in ("", "f" * 64):
        codes = [line.split() for line in as_other(ASK, head["port"], wrong).splitlines()]
        assert len(codes) == 2 and all(code in ("401", "403") for _, code in codes), codes
    assert not Path("/tmp/ltray-taken").exists()
    answers = dict(
        line.split()
        for line in as_other(ASK.replace("touch /tmp/ltray-taken", "true"), head["port"], token).splitlines()
    )
    assert answers["/api/jobs/"] == "200"  # only the token was missing


def listening(process: Any) -> set[tuple[str, int]]:
    import psutil

    found = set()
    for one in (psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)):
        try:
            found |= {(c.laddr.ip, c.laddr.port) for c in one.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
        except psutil.NoSuchProcess:
            continue
    return found


@pytest.mark.ray
def test_cluster_of_a_command_listens_on_loopback_and_hides_its_files(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(open_folder))
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    words = ["--methods", "cross_entropy", "--dataset", "digits-lt", *SMALL, "epochs=300", "--workers", "2"]
    words += ["--output", str(open_folder / "run")]
    with started("train", *words, data=open_folder, reached=lambda text: "epoch 1/" in text) as (process, _):
        ports = listening(process)
        assert ports and all(re.fullmatch(r"(::ffff:)?127\.0\.0\.1|::1", host) for host, _ in ports), ports
        token, sockets = open_folder / ".ray" / "auth_token", Path("/tmp") / f"ray-{os.getuid()}"
        assert len(token.read_text()) == 64
        assert as_other(READ, str(token), str(sockets), str(sockets / "r"), str(open_folder / "run")) == "[]"
        process.terminate()
        process.wait(LIMIT)
