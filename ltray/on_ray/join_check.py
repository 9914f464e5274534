"""Checks, within a time limit, whether a Ray cluster answers at an address and this process can join it.

Ray retries for minutes, prints messages of its C++ code, and ends the process if a token is missing. Therefore
this module first connects to the address as to any gRPC server; then Ray's client runs in a separate process
(`cluster_query`).
"""

import json
import os
import socket
import subprocess
import sys
from contextlib import suppress
from typing import Any

from ltray.errors import UsageError
from ltray.printable import printable
from ltray.ray_address import UNSET_IT, VARIABLE, Address

CONNECT_WITHIN = 5.0  # seconds
GREET_WITHIN = 20.0  # seconds
ANSWER_WITHIN = 60.0  # seconds; on a loaded machine, the start of a Python process takes several
# HTTP/2, as used by gRPC: the client's preface with an empty SETTINGS frame; a server begins with a SETTINGS frame.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
HEADER_LENGTH, SETTINGS_TYPE = 9, 4


def check_joinable(address: Address) -> None:
    """Check that a Ray cluster answers at an address, accepts this process's token, and has a node on this machine.

    Raises:
        UsageError: A condition is not met; the message contains the condition and the remedy.
    """
    _greet(address)
    answer = _query(address)
    problem = problem_of(answer, address)
    if problem:
        raise UsageError(problem)


def _greet(address: Address) -> None:
    """Raise UsageError unless a gRPC server answers."""
    shown = f"{VARIABLE}={address}"
    try:
        connection = socket.create_connection((address.host, address.port), timeout=CONNECT_WITHIN)
    except (OSError, UnicodeError) as error:  # UnicodeError: not a valid host name
        reason = "no answer within 5 s" if isinstance(error, TimeoutError) else getattr(error, "strerror", "") or error
        raise UsageError(
            f"{shown}: no Ray cluster answers at this address ({reason}). Start the cluster, or {UNSET_IT}."
        ) from error
    if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):  # the first frame is encrypted
        connection.close()
        return
    greeting = b""
    with connection, suppress(OSError):
        connection.settimeout(GREET_WITHIN)
        connection.sendall(PREFACE)
        while len(greeting) < HEADER_LENGTH and (more := connection.recv(HEADER_LENGTH - len(greeting))):
            greeting += more
    if not greeting:
        raise UsageError(
            f"{shown}: the service at this address does not answer as a Ray cluster within {GREET_WITHIN:.0f} s. Use "
            f"the address that `ray start --head` printed, or {UNSET_IT}."
        )
    if len(greeting) < HEADER_LENGTH or greeting[3] != SETTINGS_TYPE:
        raise UsageError(
            f"{shown}: the service at this address is not a Ray cluster (it answers "
            f"{printable(greeting.decode('latin-1'))!r}). Use the address that `ray start --head` printed, or "
            f"{UNSET_IT}."
        )


def _query(address: Address) -> dict[str, Any]:
    """Return the answer of `cluster_query`, or {"error": …} if it does not end in time."""
    command = [sys.executable, "-m", "ltray.on_ray.cluster_query", str(address)]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=ANSWER_WITHIN, check=False
        )
    except subprocess.TimeoutExpired:
        return {"error": "silent"}
    with suppress(ValueError, IndexError):
        return dict(json.loads(done.stdout.splitlines()[-1]))
    return {"error": "ended", "text": _cause(done.stderr)}


def _cause(log: str) -> str:
    """Return the line of Ray's C++ log with the reason why a process ended, without source position and stack."""
    lines = [line for line in log.splitlines() if "Check failed" in line] or log.splitlines()[-1:]
    return lines[0].rpartition("Check failed: ")[2][:300] if lines else "no message"


def problem_of(answer: dict[str, Any], address: Address) -> str:
    """Return why a cluster cannot be joined, in one or two sentences; "" if it can be joined.

    Args:
        answer: The output of `cluster_query`: "error" and "text", or "cluster" and "here" (versions; "" if a version
            is unknown) and "local" (whether a node of the cluster runs on this machine).
        address: Address of the cluster.
    """
    error, text = answer.get("error", ""), str(answer.get("text", ""))
    if error == "token":
        return _about_token(address)
    if error == "silent":
        return (
            f"{VARIABLE}={address}: a gRPC server answers, but not as a Ray cluster, within {ANSWER_WITHIN:.0f} s. "
            f"Use the address that `ray start --head` printed, or {UNSET_IT}."
        )
    if error:
        return f"{VARIABLE}={address}: not a Ray cluster that can be joined: {printable(text)}. Or {UNSET_IT}."
    if answer["cluster"] != answer["here"]:
        return (
            f"The cluster at {address} uses {answer['cluster']}, this command uses {answer['here']}. Install the same "
            f"versions on both, or {UNSET_IT}."
        )
    if not answer["local"]:
        return (
            f"The cluster at {address} has no node on this machine. Run the command on one of its machines, add this "
            f"one (`ray start --address={address}`), or submit the command with `ray job submit`."
        )
    return ""


def _about_token(address: Address) -> str:
    if os.environ.get("RAY_AUTH_MODE", "").lower() != "token":
        return (
            f"The cluster at {address} requires a token: export RAY_AUTH_MODE=token (and RAY_AUTH_TOKEN_PATH, if the "
            "token is not in ~/.ray/auth_token)."
        )
    source = (
        "of RAY_AUTH_TOKEN"
        if os.environ.get("RAY_AUTH_TOKEN")
        else f"in {printable(os.environ.get('RAY_AUTH_TOKEN_PATH') or '~/.ray/auth_token')}"
    )
    return f"The cluster at {address} does not accept the token {source}: export RAY_AUTH_TOKEN_PATH=FILE."
