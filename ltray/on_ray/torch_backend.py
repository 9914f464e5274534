"""Joins the workers of a run into a process group whose sockets listen on the nodes' Ray addresses only.

Ray's own code listens on every interface of rank 0's machine, without authentication, even on a cluster that is
otherwise restricted to loopback or to one network.
"""

import os
import socket
from datetime import timedelta
from typing import Any

import psutil
import ray.util
import torch.distributed as dist
from ray.train.torch import TorchConfig

from ltray.on_ray._compat_train import TorchBackend, get_address_and_port, set_torch_variables


class ConfinedTorchConfig(TorchConfig):
    """Ray's TorchConfig, with the rendezvous of this module."""

    @property
    def backend_cls(self) -> type["_ConfinedBackend"]:
        """The backend that Ray starts on the workers."""
        return _ConfinedBackend


class _ConfinedBackend(TorchBackend):
    def on_start(self, worker_group: Any, backend_config: Any) -> None:
        gpus = worker_group.get_resources_per_worker().get("GPU", 0)
        address, port = worker_group.execute_single(0, get_address_and_port)
        worker_group.execute(set_torch_variables)
        worker_group.execute(
            _join,
            backend=backend_config.backend or ("nccl" if gpus else "gloo"),
            address=address,
            port=port,
            limit=timedelta(seconds=backend_config.timeout_s),
        )


def _join(*, backend: str, address: str, port: int, limit: timedelta) -> None:
    """Join the process group; rank 0 serves the store with the addresses of the ranks."""
    rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    interface = _interface(str(ray.util.get_node_ip_address()))
    if interface:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)
        os.environ.setdefault("NCCL_SOCKET_IFNAME", interface)
    server = None
    if rank == 0:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        server = socket.create_server((address, port), family=family).detach()
    store = dist.TCPStore(address, port, world_size, rank == 0, limit, wait_for_workers=False, master_listen_fd=server)  # type: ignore[attr-defined]
    dist.init_process_group(backend, store=store, rank=rank, world_size=world_size, timeout=limit)


def _interface(address: str) -> str | None:
    """Return the network interface that has this address; None if it is a translated address."""
    interfaces = psutil.net_if_addrs().items()
    return next((name for name, own in interfaces if any(entry.address == address for entry in own)), None)
