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
from ltray.study.budget import Budget


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
    """Return how many trials the cluster can run side by side, at least one; a worker never spans two nodes.

    Raises:
        UsageError: Not even one fits: it would wait for ever.
    """
    each = worker_resources(asked)
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    room = sum(min(_shares(node.get(name, 0.0), amount) for name, amount in each.items()) for node in nodes)
    if room < asked.workers:
        there = "; ".join(str({name: node.get(name, 0.0) for name in each}) for node in nodes)
        raise UsageError(
            f"The cluster has too little: {asked.workers} x {each} are asked for, and its nodes have {there}. Lower "
            "trial.workers (of ltray.train: --workers), trial.cpus_per_worker or trial.gpus_per_worker."
        )
    return room // asked.workers


def _shares(there: float, amount: float) -> int:
    """Return how many shares Ray gives of a resource; one below 1 is never cut from two GPUs."""
    part = round(10_000 * amount)  # so Ray counts; in floats ten tenths do not fit into one
    return int(there) * (10_000 // part) if part < 10_000 else int(10_000 * there) // part


def check_budget(budget: Budget | None, asked: TrialResources) -> None:
    """Check that trials use up what a budget counts.

    Raises:
        UsageError: It counts GPU hours, and they use no GPU.
    """
    if budget and budget.unit == "gpuh" and "GPU" not in worker_resources(asked):
        raise UsageError(f"--budget: trials use no GPU here, so {budget} would never be spent. Give CPU hours (cpuh).")
