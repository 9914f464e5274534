"""A Ray head on this machine, started and stopped without any effect on other Ray clusters."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

START_SECONDS = 120
# Ray drains a node for up to 30 s before it ends the node's processes.
STOP_SECONDS = 45
# Variables that would make `ray` use another cluster or another token.
STRAY = ("RAY_ADDRESS", "RAY_AUTH_TOKEN")


class HeadError(Exception):
    """The head cannot be started, used or stopped; the message contains the reason and the remedy."""


@dataclass(frozen=True)
class LocalHead:
    """A head whose files are in one folder.

    Attributes:
        folder: Contains the token, the head's log, the record of its process and Ray's session. Its path must be short,
            because Ray creates sockets below it, whose paths are limited to about 100 characters.
    """

    folder: Path

    @property
    def token(self) -> Path:
        """The file with the secret that every request must contain."""
        return self.folder / "token"

    @property
    def log(self) -> Path:
        """The file with the output of `ray start`."""
        return self.folder / "head.log"

    @property
    def session(self) -> Path:
        """The folder of Ray: sockets, logs and the files that jobs uploaded."""
        return self.folder / "ray"

    def settings(self) -> dict[str, str]:
        """Return the environment variables with which `ray job` finds the running head and is authorized to use it.

        Raises:
            HeadError: The head does not run.
        """
        self.processes()
        return _settings(self.token, self._record()["port"])

    def process(self) -> psutil.Process | None:
        """Return the head's process, or None if it does not run."""
        try:
            record = self._record()
            process = psutil.Process(record["pid"])
            # Otherwise another process now has the same process id.
            return process if process.create_time() == record["created"] else None
        except (FileNotFoundError, psutil.NoSuchProcess):
            return None

    def processes(self) -> list[psutil.Process]:
        """Return the head's process and all its descendants: Ray's services, workers and jobs.

        Raises:
            HeadError: The head does not run.
        """
        head = self.process()
        if head is None:
            raise HeadError(f"No head runs from {self.folder}.")
        return [head, *head.children(recursive=True)]

    def listening(self) -> set[tuple[str, int]]:
        """Return each address and port on which one of the processes listens.

        Raises:
            HeadError: The head does not run.
        """
        found = set()
        for process in self.processes():
            try:
                connections = process.net_connections(kind="inet")
            except psutil.NoSuchProcess:  # a worker that has ended in the meantime
                continue
            found |= {(c.laddr.ip, c.laddr.port) for c in connections if c.status == psutil.CONN_LISTEN}
        return found

    def start(self, port: int) -> None:
        """Start the head and wait until it accepts jobs.

        Args:
            port: The dashboard's port; Ray Client and the node's agent use the next two.

        Raises:
            HeadError: The head already runs, or does not start, or the folder belongs to another user.
        """
        if self.process():
            raise HeadError(f"A head is already running from {self.folder}; see `status`.")
        self._prepare_folder()
        programs = Path(sys.executable).parent
        environment = {name: value for name, value in os.environ.items() if name not in STRAY}
        environment |= _settings(self.token, port)
        environment["PATH"] = f"{programs}{os.pathsep}{environment.get('PATH', os.defpath)}"  # jobs run this Python
        # On Linux, Ray replaces a loopback --node-ip-address with the machine's network address and listens there,
        # unless multi-node clusters are disabled. macOS and Windows disable them by default, hence the name.
        environment["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        command = [str(programs / "ray"), "start", *_options(port, self.session)]
        with self.log.open("w") as log:
            head = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        created = psutil.Process(head.pid).create_time()
        self._record_file.write_text(json.dumps({"pid": head.pid, "created": created, "port": port}))
        self._wait_until_ready(head, port)

    def stop(self) -> None:
        """End the head and its processes, and no others.

        Raises:
            HeadError: The head does not run, or a process does not end when it is killed.
        """
        processes = self.processes()
        processes[0].terminate()  # Ray then ends the other processes in order
        _, alive = psutil.wait_procs(processes, timeout=STOP_SECONDS)
        for process in alive:
            process.kill()
        _, alive = psutil.wait_procs(alive, timeout=5)
        if alive:
            raise HeadError(f"These processes do not end: {', '.join(str(process.pid) for process in alive)}.")
        self._record_file.unlink()

    @property
    def _record_file(self) -> Path:
        return self.folder / "head.json"

    def _record(self) -> dict[str, Any]:
        return dict(json.loads(self._record_file.read_text()))

    def _prepare_folder(self) -> None:
        """Create the folder, readable by its owner only, and a token in it; remove the previous session's files."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.folder.is_symlink() or self.folder.stat().st_uid != os.getuid():
            raise HeadError(f"{self.folder} belongs to another user: choose another folder with --folder.")
        self.folder.chmod(0o700)
        shutil.rmtree(self.session, ignore_errors=True)
        if not self.token.exists():
            with os.fdopen(os.open(self.token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_hex(32))

    def _wait_until_ready(self, head: subprocess.Popen[bytes], port: int) -> None:
        """Wait until the job server and the node answer; if they do not in time, stop the head."""
        deadline = time.monotonic() + START_SECONDS
        while head.poll() is None and time.monotonic() < deadline:
            try:
                self._ask(f"http://127.0.0.1:{port}/api/jobs/")
                self._ask(f"http://127.0.0.1:{port + 2}/api/healthz")
            except OSError:
                time.sleep(0.5)
            else:
                return
        if head.poll() is None:
            self.stop()
        last = "\n".join(self.log.read_text().splitlines()[-5:])
        raise HeadError(
            f"The head did not start; perhaps a port from {port} on is in use. The end of {self.log}:\n{last}"
        )

    def _ask(self, address: str) -> None:
        """Raise OSError unless the address answers with success."""
        request = urllib.request.Request(address, headers={"Authorization": f"Bearer {self.token.read_text()}"})
        urllib.request.urlopen(request, timeout=5).close()


def _settings(token: Path, port: int) -> dict[str, str]:
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{port}",
    }


def _options(port: int, session: Path) -> list[str]:
    """Return the arguments of `ray start`."""
    values: dict[str, object] = {
        "node-ip-address": "127.0.0.1",
        "port": 0,  # any free port; jobs get it from the dashboard
        "dashboard-host": "127.0.0.1",
        "dashboard-port": port,
        "ray-client-server-port": port + 1,
        "dashboard-agent-listen-port": port + 2,
        "temp-dir": session,
    }
    # With --block, Ray's services remain children of this process, so that `processes` finds them.
    return ["--head", "--block", "--disable-usage-stats", "--log-color=false"] + [
        f"--{k}={v}" for k, v in values.items()
    ]
