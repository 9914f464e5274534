"""The private parts of Ray that are needed to start, query and watch a cluster, in one place; tested with Ray 2.60.

Those of Ray Train are in `_compat_train`. `tests/on_ray/test_local_cluster.py` fails if they differ in a newer Ray.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ray
import ray._private.ray_constants as ray_constants
import ray._private.services as services
import ray._private.worker as ray_worker
from ray._common.usage.usage_lib import get_cluster_metadata
from ray._private.node import Node
from ray._private.services import find_node_ids
from ray._private.utils import check_version_info

__all__ = [
    "GcsClient",
    "NotStarted",
    "check_version_info",
    "control_address",
    "ended_process",
    "environment",
    "find_node_ids",
    "get_cluster_metadata",
    "patient_start",
    "print_errors",
    "read_environment_again",
    "started_here",
]

RAY_WAITS = 30.0  # seconds that Ray itself allows a new node, from its source
PRINT = ray_worker.print_to_stdstream
GcsClient = ray._raylet.GcsClient


class NotStarted(Exception):
    """A process of a new cluster has ended or does not start; the message contains its name."""


@contextmanager
def patient_start(limit: float, still_starting: Callable[[], None]) -> Iterator[None]:
    """Make `ray.init` wait longer for a node than Ray does, and remove all parts of a node that does not start.

    It waits longer than Ray's 30 s, but stops when a process of the node has ended. Ray does not replace 127.0.0.1
    with another address.

    Args:
        limit: Seconds.
        still_starting: Called once, after Ray's own 30 s.

    Raises:
        NotStarted: A process has ended, or the limit has passed.
    """
    look, start = services.get_node, Node.start_head_processes
    loopback, begun = ray_constants.ENABLE_RAY_CLUSTER, time.monotonic()
    nodes: list[Node] = []
    told = False

    def note_and_start(node: Node) -> None:
        nodes.append(node)
        start(node)

    def wait_for_node(gcs_address: str, node_id: str) -> Any:
        nonlocal told
        while True:
            try:
                return look(gcs_address, node_id)
            except RuntimeError:
                passed, ended = time.monotonic() - begun, ended_process(nodes[-1] if nodes else None)
                if ended or passed > limit:
                    raise NotStarted(ended or f"it did not start within {limit:.0f} s") from None
                if passed > RAY_WAITS and not told:
                    told = True
                    still_starting()
                time.sleep(0.2)

    services.get_node, Node.start_head_processes = wait_for_node, note_and_start
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    except BaseException as error:
        for node in nodes:
            node.kill_all_processes(check_alive=False, allow_graceful=False)
        if nodes and isinstance(error, Exception):
            why = str(error) if isinstance(error, NotStarted) else ended_process(nodes[-1]) or _first_line(error)
            raise NotStarted(f"{why} (its logs: {nodes[-1].get_logs_dir_path()})") from error
        raise
    finally:
        services.get_node, Node.start_head_processes = look, start
        ray_constants.ENABLE_RAY_CLUSTER = loopback


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def ended_process(node: Node | None = None) -> str:
    """Return which process of a node, started by this process, has ended; "" if none has.

    Args:
        node: The node; None: the node to which this process is connected.
    """
    node = node or ray_worker._global_node
    known = node.all_processes if node else {}
    for kind, name in (("gcs_server", "control service (GCS)"), ("raylet", "node service (raylet)")):
        if any(one.process.poll() is not None for one in known.get(kind, ())):
            return f"its {name} has exited"
    return ""


def print_errors(shown: bool) -> None:
    """Switch Ray's messages about processes that ended on or off; its logs contain them in both cases."""
    ray_worker.print_to_stdstream = PRINT if shown else lambda data, ignore_prefix: None


def started_here() -> bool:
    """Return whether this process started the cluster to which it is connected."""
    node = ray_worker._global_node
    return bool(node and node.all_processes.get("gcs_server"))


def control_address() -> str:
    """Return `host:port` of the control service of the cluster to which this process is connected."""
    return str(ray.get_runtime_context().gcs_address)


def read_environment_again() -> None:
    """Make Ray read RAY_AUTH_MODE again: it caches the first value."""
    ray._raylet.Config.initialize("")
    ray._raylet.AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def environment(values: dict[str, str | None]) -> Iterator[None]:
    """Set environment variables inside the block; None: not set."""
    before = {name: os.environ.get(name) for name in values}
    _set(values)
    try:
        yield
    finally:
        _set(before)


def _set(values: dict[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
