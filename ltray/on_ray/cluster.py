"""Connects to a Ray cluster, or starts one on this machine only; and the number of trials that fit a cluster."""

import logging
import os
import signal
import sys
import threading
import warnings

import ray

from ltray.command import FAILED
from ltray.errors import UsageError
from ltray.files import reason
from ltray.on_ray import local_cluster, token_file
from ltray.on_ray._compat import print_errors, read_environment_again
from ltray.on_ray.join_check import check_joinable
from ltray.on_ray.node_watch import follow_node
from ltray.on_ray.running_clusters import only_cluster, print_running, running_clusters
from ltray.ray_address import Address, named_cluster
from ltray.space.search_settings import TrialResources
from ltray.study.budget import Budget

_before: dict[str, str] | None = None  # the values of Ray's variables before this module connected


def connect() -> None:
    """Join the cluster of RAY_ADDRESS (as `ray job submit` sets it) or start one on this machine only.

    If the variable is unset, empty or `local`, a cluster is started; `auto` is this user's only cluster on this
    machine. A cluster that this command starts listens on 127.0.0.1 only and has no dashboard. If already connected, do
    nothing.

    Raises:
        UsageError: The cluster of RAY_ADDRESS cannot be joined.
        SystemExit: With exit code 1: Ray does not start.
    """
    global _before
    if ray.is_initialized():
        return
    warnings.filterwarnings("ignore", category=FutureWarning, module="ray")
    logging.getLogger("ray").setLevel(logging.ERROR)
    in_main_thread = threading.current_thread() is threading.main_thread()  # handlers are set only there
    ending, known = signal.getsignal(signal.SIGTERM), _ray_variables()
    try:
        read_environment_again()
        text = named_cluster()
        if text:
            _join(text)
        else:
            _start()
    except BaseException:
        ray.shutdown()
        _restore(known)
        raise
    finally:
        if in_main_thread:
            signal.signal(signal.SIGTERM, ending)  # Ray's own handler exits with code 15
    _before = known
    print_errors(False)  # ltray prints its own line about what ended
    follow_node()


def _start() -> None:
    print_running("starts a separate one")
    local_cluster.start()


def _join(text: str) -> None:
    """Join the cluster of RAY_ADDRESS.

    Raises:
        UsageError: It cannot be joined.
        SystemExit: With exit code 1: it can no longer be joined.
    """
    if text == "auto":
        cluster = only_cluster(running_clusters())
        os.environ.update(cluster.settings)  # it belongs to this user and is on this machine
        read_environment_again()
        address = cluster.address
    else:
        address = Address.parse(text)
    token_file.check_present()
    check_joinable(address)
    try:
        ray.init(address=str(address), logging_level=logging.ERROR, log_to_driver=False)
    except Exception as error:  # Ray has no exception class for it
        print(f"failed: the Ray cluster at {address} could not be joined: {reason(error)}", file=sys.stderr)
        raise SystemExit(FAILED) from error


def disconnect() -> None:
    """Leave the cluster, end it if this command started it, and restore Ray's variables from before `connect`.

    A program that had connected to Ray before this module remains connected.
    """
    global _before
    if _before is None:
        return
    ray.shutdown()
    print_errors(True)
    _restore(_before)
    _before = None


def _ray_variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("RAY_")}


def _restore(known: dict[str, str]) -> None:
    for name in _ray_variables().keys() - known.keys():
        del os.environ[name]
    os.environ.update(known)


def worker_resources(asked: TrialResources) -> dict[str, float]:
    """Return the resources of each worker of a trial: {"CPU": …} and, if there are GPUs, {"GPU": …}."""
    gpus = asked.gpus_per_worker
    if gpus < 0:
        gpus = 1.0 if ray.cluster_resources().get("GPU", 0) else 0.0
    return {"CPU": float(asked.cpus_per_worker)} | ({"GPU": gpus} if gpus else {})


def concurrent_trials(asked: TrialResources) -> int:
    """Return the number of trials that the cluster can run in parallel, at least one; a worker is on one node.

    Raises:
        UsageError: The cluster is too small for one trial, which would wait forever.
    """
    each = worker_resources(asked)
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    room = sum(min(_shares(node.get(name, 0.0), amount) for name, amount in each.items()) for node in nodes)
    if room < asked.workers:
        there = "; ".join(str({name: node.get(name, 0.0) for name in each}) for node in nodes)
        raise UsageError(
            f"The cluster does not have enough resources: {asked.workers} x {each} are requested, and its nodes have "
            f"{there}. Lower trial.workers (in ltray.train: --workers), trial.cpus_per_worker or "
            "trial.gpus_per_worker."
        )
    return room // asked.workers


def _shares(there: float, amount: float) -> int:
    """Return the number of shares of a resource that Ray can give; a share below 1 is always of one GPU."""
    part = round(10_000 * amount)  # Ray's arithmetic; with floats, ten tenths do not fit into one
    return int(there) * (10_000 // part) if part < 10_000 else int(10_000 * there) // part


def check_budget(budget: Budget | None, asked: TrialResources) -> None:
    """Check that trials use the resource that a budget limits.

    Raises:
        UsageError: The budget is in GPU hours, and trials use no GPU.
    """
    if budget and budget.unit == "gpuh" and "GPU" not in worker_resources(asked):
        raise UsageError(f"--budget: trials use no GPU here, so {budget} would have no effect. Use CPU hours (cpuh).")
