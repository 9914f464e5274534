"""Connects to a Ray cluster, or starts a quiet one of this machine alone."""

import logging
import os
import signal
import socket
import sys
import warnings
from typing import Any

import ray

from ltray.command import FAILED
from ltray.errors import UsageError
from ltray.on_ray.node_watch import follow_node
from ltray.space.search_settings import TrialResources


def connect() -> None:
    """Join the cluster named by RAY_ADDRESS (as `ray job submit` sets it) or start a local one.

    A local one listens on 127.0.0.1 only and has no dashboard. Connected already: nothing happens.

    Raises:
        UsageError: Nobody answers at RAY_ADDRESS.
        SystemExit: With exit code 1: Ray does not start.
    """
    if ray.is_initialized():
        return
    warnings.filterwarnings("ignore", category=FutureWarning, module="ray")
    logging.getLogger("ray").setLevel(logging.ERROR)
    ending = signal.getsignal(signal.SIGTERM)
    if "RAY_ADDRESS" in os.environ:
        _check_answers(os.environ["RAY_ADDRESS"])
        _start()
    else:
        _start(include_dashboard=False, _node_ip_address="127.0.0.1")
    signal.signal(signal.SIGTERM, ending)  # Ray's own handler leaves with exit code 15
    follow_node()


def _check_answers(address: str) -> None:
    """Knock at `host:port`; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not port.isdecimal() or "/" in host:
        return
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError as error:
        raise UsageError(
            f"RAY_ADDRESS={address}: no Ray cluster answers there ({error.strerror or error}). Start it, or unset "
            "RAY_ADDRESS to use this machine alone."
        ) from error


def _start(**options: Any) -> None:
    try:
        ray.init(logging_level=logging.ERROR, log_to_driver=False, **options)
    except Exception as error:  # Ray has no class for it
        if "timed out during startup" not in str(error):
            raise
        print(
            "failed: Ray did not start within its 30 seconds, as where a machine has too much else to do; "
            "the same command tries again",
            file=sys.stderr,
        )
        raise SystemExit(FAILED) from error


def disconnect() -> None:
    """Leave the cluster; a local one ends with it."""
    ray.shutdown()


def worker_resources(asked: TrialResources) -> dict[str, float]:
    """Return what each worker of a trial takes: {"CPU": …} and, where there are any, {"GPU": …}."""
    gpus = asked.gpus_per_worker
    if gpus < 0:
        gpus = 1.0 if ray.cluster_resources().get("GPU", 0) else 0.0
    return {"CPU": float(asked.cpus_per_worker)} | ({"GPU": gpus} if gpus else {})


def trials_at_once(asked: TrialResources) -> int:
    """Return how many trials the cluster can run side by side; 0 where not even one fits."""
    available = ray.cluster_resources()
    each = worker_resources(asked)
    # Ray counts in ten-thousandths; in floats ten tenths of a GPU do not fit into one.
    parts = {name: round(10_000 * amount) * asked.workers for name, amount in each.items()}
    return min(int(10_000 * available.get(name, 0)) // amount for name, amount in parts.items())
