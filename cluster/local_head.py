"""A Ray head on this machine that only its owner can use: token authentication, every port on loopback.

    python cluster/local_head.py start | env | status | stop

It can run at the same time as other Ray clusters: it has its own folder and ports, and `stop` ends its own processes
only (`ray stop` would end the processes of every cluster).
"""

import argparse
import ipaddress
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from ray_head import STRAY, HeadError, LocalHead

FOLDER = Path(f"/tmp/ltray-head-{os.getuid()}")
PORT = 8265


def beyond_loopback(addresses: set[tuple[str, int]]) -> list[str]:
    """Return the addresses, as `host:port`, that other machines can reach."""
    found = []
    for host, port in sorted(addresses):
        address = ipaddress.ip_address(host)
        if not (getattr(address, "ipv4_mapped", None) or address).is_loopback:
            found.append(f"{host}:{port}")
    return found


def start(options: argparse.Namespace) -> None:
    """Start the head and print how to use it."""
    LocalHead(options.folder).start(options.port)
    status(options)
    chosen = "" if options.folder == FOLDER else f" --folder {shlex.quote(str(options.folder))}"
    print(f'Use it:   eval "$(python cluster/local_head.py env{chosen})"')
    print("          ray job submit --working-dir . -- python -m ltray.train ...")
    print(f"Stop it:  python cluster/local_head.py stop{chosen}")


def environment(options: argparse.Namespace) -> None:
    """Print the shell commands that make `ray job` use this head."""
    settings = LocalHead(options.folder).settings()
    print(f"unset {' '.join(STRAY)}")
    for name, value in settings.items():
        print(f"export {name}={shlex.quote(value)}")


def status(options: argparse.Namespace) -> None:
    """Check and print the addresses on which the head listens.

    Raises:
        HeadError: The head does not run, or other machines can reach it.
    """
    head = LocalHead(options.folder)
    address = head.settings()["RAY_API_SERVER_ADDRESS"]
    listening = head.listening()
    reachable = beyond_loopback(listening)
    if reachable:
        raise HeadError(f"The head listens beyond loopback, on {', '.join(reachable)}: stop it.")
    print(f"The head runs at {address}; its {len(listening)} ports are on loopback only.")


def stop(options: argparse.Namespace) -> None:
    """Stop the head."""
    head = LocalHead(options.folder)
    head.stop()
    print(f"Stopped. Logs: {head.session / 'session_latest' / 'logs'}")


COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {
    "start": start,
    "env": environment,
    "status": status,
    "stop": stop,
}


def main() -> int:
    """Run a command; return 0, or 1 if it fails."""
    parser = argparse.ArgumentParser(description="A Ray head on this machine that only its owner can use.")
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument(
        "--folder", type=Path, default=FOLDER, help=f"the head's folder, a short path (default: {FOLDER})"
    )
    parser.add_argument(
        "--port", type=int, default=PORT, help=f"the dashboard's port; the next two are used too (default: {PORT})"
    )
    options = parser.parse_args()
    try:
        COMMANDS[options.command](options)
    except HeadError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
