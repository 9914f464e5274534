"""Ends a command when its Ray cluster has ended: otherwise the driver waits in Ray for minutes, or forever."""

import os
import socket
import sys
import threading
import time
from collections.abc import Callable

import ray
from ray.exceptions import RayError

from ltray.command import FAILED
from ltray.on_ray._compat import control_address, ended_process, started_here
from ltray.ray_address import Address

LOOK_EVERY = 2.0  # seconds
SILENT_FOR = 40.0  # seconds; after 60, Ray ends the process and prints a page of its log


def follow_node() -> None:
    """Until `ray.shutdown`: when the Ray cluster has ended, print a message and exit with code 1.

    The main thread may be waiting inside Ray and cannot be notified. All results are already on the disk.
    """
    look = ended_process if started_here() else joined_watch(control_address(), ray.get_runtime_context().get_node_id())

    def follow() -> None:
        while ray.is_initialized():
            time.sleep(LOOK_EVERY)
            gone = look()
            if not gone:
                continue
            time.sleep(0.5)  # this process may be shutting Ray down
            if ray.is_initialized():
                print(
                    f"failed: Ray has stopped: {gone}; run the same command again to continue from the last "
                    "checkpoints",
                    file=sys.stderr,
                    flush=True,
                )
                os._exit(FAILED)

    threading.Thread(target=follow, daemon=True, name="ltray-node").start()


def joined_watch(control: str, own_node: str) -> Callable[[], str]:
    """Return a function that returns why a cluster that others started has ended, or "" while it runs.

    Args:
        control: `host:port` of its control service. It may restart, so that it may not answer for some time.
        own_node: The id of this process's node.
    """
    address = Address.parse(control)
    answered, dead = time.monotonic(), 0

    def look() -> str:
        nonlocal answered, dead
        if not _listens(address):
            silent = time.monotonic() - answered
            return f"the cluster's control service at {address} has not answered for {silent:.0f} s" * (
                silent > SILENT_FOR
            )
        answered = time.monotonic()
        dead = dead + 1 if _is_dead(own_node) else 0
        return "its node service (raylet) on this machine has exited" * (dead > 1)

    return look


def _listens(address: Address) -> bool:
    try:
        socket.create_connection((address.host, address.port), timeout=5).close()
    except OSError:
        return False
    return True


def _is_dead(node: str) -> bool:
    """Return whether Ray reports explicitly that a node is dead; a missing answer does not count."""
    try:
        return any(known["NodeID"] == node and not known["Alive"] for known in ray.nodes())
    except (RayError, AttributeError):  # disconnected in the meantime
        return False
