"""Ends a command whose Ray is gone: Ray itself lets the driver wait for minutes, or for ever."""

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
SILENT_FOR = 40.0  # seconds; after 60 Ray ends the process itself, over a page of its own log


def follow_node() -> None:
    """Leave the process, with a sentence and exit code 1, once its Ray is gone; until `ray.shutdown`.

    The main thread may wait inside Ray then and can be told nothing. Everything is on the disk at every moment.
    """
    look = ended_process if started_here() else joined_watch(control_address(), ray.get_runtime_context().get_node_id())

    def follow() -> None:
        while ray.is_initialized():
            time.sleep(LOOK_EVERY)
            gone = look()
            if not gone:
                continue
            time.sleep(0.5)  # it may be this process itself that is ending Ray
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
    """Return a function that says why a cluster that others started is gone; "" as long as it is not.

    Args:
        control: `host:port` of its control service, which may restart: it may be silent for some time.
        own_node: The id of the node that this process is on.
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
    """Return whether Ray says in so many words that a node is dead; no answer is no death."""
    try:
        return any(known["NodeID"] == node and not known["Alive"] for known in ray.nodes())
    except (RayError, AttributeError):  # disconnected meanwhile
        return False
