"""A Ray cluster that the command starts on this machine, on 127.0.0.1, without dashboard; it ends with the command."""

import logging
import os
import sys
import tempfile
from pathlib import Path

import ray

from ltray.command import FAILED
from ltray.errors import UsageError
from ltray.files import reason
from ltray.on_ray import token_file
from ltray.on_ray._compat import environment, patient_start
from ltray.on_ray.running_clusters import own_folder_name
from ltray.printable import printable
from ltray.private_folders import make_own

START_WITHIN = 300.0  # seconds
OBJECT_STORE = 256 << 20  # bytes; trials and workers exchange small messages, and checkpoints through files
SOCKET_PATH_LIMIT = 107  # bytes of the path of a Unix socket
# The path that Ray appends to its folder: the session of this time and process, and the longest name of a socket.
LONGEST_SOCKET = "/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
# node_watch observes the processes of one machine; a late answer of a loaded machine does not mean that it has ended.
PATIENCE = {
    "health_check_timeout_ms": 60_000,
    "health_check_failure_threshold": 20,
    "worker_register_timeout_seconds": 300,
}
# Variables that would make Ray join other services, listen on other addresses, or wait for less time.
OURS = {
    "RAY_REDIS_ADDRESS": None,
    "RAY_GCS_SERVER_PORT": None,
    "RAY_gcs_server_port_wait_time_s": f"{START_WITHIN:.0f}",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}


def start() -> None:
    """Start the cluster and connect to it.

    Raises:
        UsageError: The folder for Ray's files or the token cannot be used.
        SystemExit: With exit code 1: Ray does not start.
    """
    folder = private_folder()
    token_file.provide()
    try:
        with environment(OURS), patient_start(START_WITHIN, _print_still_starting):
            ray.init(
                address="local",  # does not search for another cluster either: Ray would wait for one that has ended
                include_dashboard=False,
                _node_ip_address="127.0.0.1",
                _temp_dir=str(folder),
                object_store_memory=OBJECT_STORE,
                logging_level=logging.ERROR,
                log_to_driver=False,
                _system_config=PATIENCE,
            )
    except Exception as error:  # Ray has no exception class for it
        print(
            f"failed: Ray did not start on this machine: {reason(error)}. Free memory and disk space (in "
            f"{printable(folder)} and in /dev/shm), and run the same command again",
            file=sys.stderr,
        )
        raise SystemExit(FAILED) from error


def private_folder() -> Path:
    """Return the folder for Ray's sockets and logs, created if it is missing; other users cannot enter it.

    It is in RAY_TMPDIR, else in TMPDIR, else in /tmp.

    Raises:
        UsageError: It cannot be written, belongs to another user, or its path is too long for sockets.
    """
    variable = next((name for name in ("RAY_TMPDIR", "TMPDIR") if os.environ.get(name)), "")
    base = os.path.abspath(os.environ[variable]) if variable else "/tmp"
    shown = f"{variable}={printable(os.environ[variable])}" if variable else "/tmp"
    parent = Path(base, own_folder_name())
    folder = parent / "r"  # Ray makes its own folder writable for all users, who could replace its sockets
    length = len(os.fsencode(f"{folder}{LONGEST_SOCKET}"))
    if length > SOCKET_PATH_LIMIT:
        raise UsageError(
            f"{shown}: too long for the paths of Ray's sockets: {length} bytes, at most {SOCKET_PATH_LIMIT} are "
            "possible. Use a shorter folder: export RAY_TMPDIR=/tmp"
        )
    try:
        make_own(parent)
        folder.mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"there is room")
    except UsageError as error:
        raise UsageError(f"{error}. Use another folder: export RAY_TMPDIR=DIR") from error
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{shown}: Ray's files cannot be written there ({reason(error)}). Use another folder: export RAY_TMPDIR=DIR"
        ) from error
    return folder


def _print_still_starting() -> None:
    print(
        f"Ray is still starting; this takes longer on a busy machine. The limit is {START_WITHIN / 60:.0f} minutes",
        file=sys.stderr,
        flush=True,
    )
