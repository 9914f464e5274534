"""Ends a command whose node is gone: without its raylet, Ray lets the driver wait for ever."""

import os
import sys
import threading
import time

import ray
from ray.exceptions import RayError

from ltray.command import FAILED

LOOK_EVERY = 2.0  # seconds


def follow_node() -> None:
    """Leave the process, with a word and exit code 1, once Ray counts this node as dead; until `ray.shutdown`.

    The main thread may wait inside Ray then and can be told nothing. Everything is on the disk at every moment.
    """
    own = ray.get_runtime_context().get_node_id()

    def look() -> None:
        dead = 0
        while ray.is_initialized() and dead < 2:  # once may be a look at a cluster on its way down
            time.sleep(LOOK_EVERY)
            dead = 0 if _is_alive(own) else dead + 1
        if ray.is_initialized():
            print(
                "failed: Ray's own process on this node (raylet) has ended; the same command goes on from there",
                file=sys.stderr,
                flush=True,
            )
            os._exit(FAILED)

    threading.Thread(target=look, daemon=True, name="ltray-node").start()


def _is_alive(node: str) -> bool:
    try:
        return any(known["NodeID"] == node and known["Alive"] for known in ray.nodes())
    except (RayError, AttributeError):  # disconnected meanwhile
        return False
