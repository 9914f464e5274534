"""Ends a command whose node is gone: without its raylet, Ray lets the driver wait for ever."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import ray

from ltray.command import FAILED

LOOK_EVERY = 2.0  # seconds


@contextmanager
def ends_with_node() -> Iterator[None]:
    """Leave the process, with a word and exit code 1, once Ray counts this node as dead.

    The main thread may wait inside Ray then and can be told nothing. Everything is on the disk at every moment.
    """
    left = threading.Event()
    own = ray.get_runtime_context().get_node_id()

    def look() -> None:
        while not left.wait(LOOK_EVERY):
            if not any(node["NodeID"] == own and node["Alive"] for node in ray.nodes()):
                print(
                    "failed: Ray's own process on this node (raylet) has ended; the same command goes on from what is "
                    "saved",
                    file=sys.stderr,
                    flush=True,
                )
                os._exit(FAILED)

    threading.Thread(target=look, daemon=True, name="ltray-node").start()
    try:
        yield
    finally:
        left.set()
