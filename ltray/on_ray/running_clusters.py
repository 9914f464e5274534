"""The Ray clusters of this user that have a node on this machine."""

import os
import shlex
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from ltray.errors import UsageError
from ltray.ray_address import UNSET_IT, VARIABLE, Address

RAYLET, ADDRESS_FLAG, SOCKET_FLAG = "raylet", "--gcs-address=", "--raylet_socket_name="
AUTHENTICATION = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH")


@dataclass(frozen=True)
class Running:
    """A cluster that runs independently: not the cluster of another ltray command, which ends with that command.

    Attributes:
        address: Address of its control service.
        settings: Environment variables with which its node was started and that are needed to join it.
    """

    address: Address
    settings: tuple[tuple[str, str], ...] = ()

    def export(self) -> str:
        """Return the shell command after which ltray joins it."""
        values = ((VARIABLE, str(self.address)), *self.settings)
        return "export " + " ".join(f"{name}={shlex.quote(value)}" for name, value in values)


def print_running(what_it_does: str) -> None:
    """Print a line on stderr for each of this user's clusters on this machine: this command does not join it.

    Args:
        what_it_does: The command's action instead: "starts a separate one".
    """
    for cluster in running_clusters():
        print(
            f"your Ray cluster at {cluster.address} runs on this machine, but this command {what_it_does}. To "
            f"join your cluster: {cluster.export()}",
            file=sys.stderr,
            flush=True,
        )


def running_clusters() -> list[Running]:
    """Return this user's clusters with a running node on this machine, without duplicates."""
    found = {cluster.address: cluster for process in _raylets() if (cluster := _cluster_of(process))}
    return [found[address] for address in sorted(found, key=str)]


def only_cluster(clusters: Iterable[Running]) -> Running:
    """Return the cluster of RAY_ADDRESS=auto.

    Raises:
        UsageError: There is no cluster, or more than one.
    """
    known = list(clusters)
    if not known:
        raise UsageError(
            f"{VARIABLE}=auto: you have no Ray cluster on this machine. Start one (`ray start --head`, or "
            f"cluster/README.md), or {UNSET_IT}."
        )
    if len(known) > 1:
        raise UsageError(
            f"{VARIABLE}=auto: you have several Ray clusters on this machine, at "
            f"{', '.join(str(one.address) for one in known)}. Use one of these addresses, or {UNSET_IT}."
        )
    return known[0]


def _raylets() -> Iterator[psutil.Process]:
    """Return the running node services of this user."""
    for process in psutil.process_iter(["name", "uids", "status"]):
        uids = process.info["uids"]
        ours = uids is not None and uids.real == os.getuid()
        if ours and process.info["name"] == RAYLET and process.info["status"] != psutil.STATUS_ZOMBIE:
            yield process


def _cluster_of(process: Any) -> Running | None:
    """Return the cluster of a node service; None if another ltray command started it, or it has ended."""
    try:
        arguments, variables = process.cmdline(), process.environ()
    except psutil.Error:
        return None
    sockets = [Path(word.partition("=")[2]) for word in arguments if word.startswith(SOCKET_FLAG)]
    if any(own_folder_name() in path.parts for path in sockets):
        return None
    # The address is in the command line with which it starts its workers.
    parts = {part for word in arguments for part in word.split() if part.startswith(ADDRESS_FLAG)}
    try:
        (address,) = (Address.parse(part.removeprefix(ADDRESS_FLAG)) for part in parts)
    except ValueError:  # no address, several addresses, or an invalid address (a UsageError)
        return None
    if variables.get(AUTHENTICATION[0], "").lower() != "token":
        return Running(address)
    return Running(address, tuple((name, variables[name]) for name in AUTHENTICATION if variables.get(name)))


def own_folder_name() -> str:
    """Return the name of the folder with the sockets of ltray's own clusters."""
    return f"ray-{os.getuid()}"
