"""The Ray cluster of RAY_ADDRESS. Ray is not imported, because this is decided before Ray reads its environment."""

import ipaddress
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from ltray.errors import UsageError
from ltray.printable import printable

VARIABLE = "RAY_ADDRESS"
UNSET_IT = f"unset {VARIABLE} to use only this machine"


@dataclass(frozen=True)
class Address:
    """The address of the control service (GCS) of a Ray cluster.

    Attributes:
        host: A name, or an IPv4 or IPv6 address without brackets.
        port: 1 to 65535.
    """

    host: str
    port: int

    def __str__(self) -> str:
        """Return `host:port`, the form for Ray."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def on_loopback(self) -> bool:
        """Whether the address is a loopback address."""
        if self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read `host:port` or `[IPv6]:port`.

        Raises:
            UsageError: It is neither, or has a protocol that ltray does not support.
        """
        shown = f"{VARIABLE}={printable(text)}"
        scheme, found, _ = text.partition("://")
        if found:
            raise UsageError(f"{shown}: {_other_protocol(scheme.lower())}")
        host, _, port = text.rpartition(":")
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        number = int(port) if port.isascii() and port.isdecimal() and len(port) < 6 else 0
        if not (_is_host(bare, bracketed=bare != host) and 0 < number < 65536):
            raise UsageError(
                f"{shown}: not an address of a Ray cluster. Write host:port, such as 192.0.2.7:6379 or "
                f"[2001:db8::7]:6379, or `auto` for your cluster on this machine; or {UNSET_IT}."
            )
        return cls(bare, number)


def named_cluster(environment: Mapping[str, str] = os.environ) -> str:
    """Return "" if the command starts a cluster (RAY_ADDRESS is unset, empty or `local`), "auto", or an address."""
    text = environment.get(VARIABLE, "").strip()
    return "" if text.lower() == "local" else "auto" if text.lower() == "auto" else text


def is_connected() -> bool:
    """Return whether this program has started or joined a cluster with `ray.init`."""
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


def stays_on_loopback(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether Ray must use 127.0.0.1 instead of the machine's address in the network.

    This is true for a cluster that the command starts, and for a cluster in RAY_ADDRESS with a loopback address.
    """
    text = named_cluster(environment)
    try:
        return not text or (text != "auto" and Address.parse(text).on_loopback)
    except UsageError:
        return False


def _other_protocol(scheme: str) -> str:
    submit = "`ray job submit` (see cluster/README.md)"
    if scheme == "ray":
        return (
            f"Ray Client is not supported. Submit the command with {submit}; or run it on a machine of the cluster "
            f"with {VARIABLE}=host:port, with the port of `ray start --head` (default: 6379); or {UNSET_IT}."
        )
    if scheme in ("http", "https"):
        return f"this is the address of a job server. Submit the command with {submit}, or {UNSET_IT}."
    return f"`{printable(scheme)}` is not a protocol of Ray clusters. Write host:port, or {UNSET_IT}."


def _is_host(text: str, *, bracketed: bool) -> bool:
    """Return whether this can be a host: an IPv6 address if it is in brackets, else a name or IPv4 address."""
    if bracketed:
        try:
            return ipaddress.ip_address(text.partition("%")[0]).version == 6
        except ValueError:
            return False
    labels = text.removesuffix(".").split(".")
    return len(text) < 254 and all(
        0 < len(label) < 64 and all(c.isalnum() or c in "-_" for c in label) for label in labels
    )
