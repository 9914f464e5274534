"""Check whether a Ray cluster answers at an address: every other answer gives a sentence within the time limit."""

import re
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from ltray.errors import UsageError
from ltray.on_ray import join_check
from ltray.ray_address import Address

HERE = Address("127.0.0.1", 6379)
VERSIONS = "Ray 2.60.0 on Python 3.11.7"
JOINABLE = {"cluster": VERSIONS, "here": VERSIONS, "local": True}


@contextmanager
def server(answer: bytes) -> Iterator[Address]:
    """A server that sends a fixed answer to every client and keeps the connection open until the client closes it."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):  # the client may have closed the connection
                self.request.sendall(answer)
                while self.request.recv(1024):
                    pass

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield Address("127.0.0.1", listening.server_address[1])
        finally:
            listening.shutdown()
            thread.join()


def refusal(address: Address) -> str:
    with pytest.raises(UsageError) as caught:
        join_check.check_joinable(address)
    assert str(caught.value).startswith(f"RAY_ADDRESS={address}: ") and "unset RAY_ADDRESS" in str(caught.value)
    return str(caught.value)


def test_address_without_a_service_is_reported() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound but not listening: no service answers
        address = Address("127.0.0.1", free.getsockname()[1])
        assert "no Ray cluster answers at this address (Connection refused)" in refusal(address)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "x" * 63 + ".invalid"])
def test_unknown_host_is_reported(host: str) -> None:
    assert "no Ray cluster answers at this address (" in refusal(Address(host, 6379))


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.0 400 Bad Request\r\n", b"SSH-2.0-x\r\n", b"-ERR unknown command\r\n", b"\0" * 40]
)
def test_other_service_is_reported(answer: bytes) -> None:
    with server(answer) as address:
        assert "the service at this address is not a Ray cluster" in refusal(address)


def test_silent_port_gives_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(join_check, "GREET_WITHIN", 0.3)
    started = time.monotonic()
    with server(b"") as address:
        assert "does not answer as a Ray cluster within" in refusal(address)
    assert time.monotonic() - started < 5


def test_other_grpc_server_gives_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(join_check, "ANSWER_WITHIN", 0.2)
    with server(bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))) as address:
        assert "not as a Ray cluster, within" in refusal(address)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (JOINABLE, ""),
        (
            JOINABLE | {"cluster": "Ray 2.9.0 on Python 3.10.1"},
            "uses Ray 2.9.0 on Python 3.10.1, this command uses Ray 2.60.0",
        ),
        (JOINABLE | {"local": False}, "has no node on this machine.*ray start --address=127.0.0.1:6379"),
        ({"error": "silent"}, "a gRPC server answers, but not as a Ray cluster"),
        ({"error": "failed", "text": "RPC \x1b[31mfailed"}, r"cannot be joined|can be joined: RPC \\x1b"),
    ],
)
def test_answers_of_a_cluster_are_judged(answer: dict[str, object], expected: str) -> None:
    problem = join_check.problem_of(answer, HERE)
    assert re.search(expected, problem) if expected else problem == "", problem


def test_missing_or_wrong_token_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    asks = "requires a token: export RAY_AUTH_MODE=token (and RAY_AUTH_TOKEN_PATH"
    assert asks in join_check.problem_of({"error": "token"}, HERE)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    assert "does not accept the token in ~/.ray/auth_token" in join_check.problem_of({"error": "token"}, HERE)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/etc/other")
    assert "does not accept the token in /etc/other" in join_check.problem_of({"error": "token"}, HERE)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    problem = join_check.problem_of({"error": "token"}, HERE)
    assert "the token of RAY_AUTH_TOKEN" in problem and "secret" not in problem


def test_reason_is_extracted_from_the_fatal_output_of_ray() -> None:
    log = (
        "[2026-01-01 C 1 1] loader.cc:115:  An unexpected system state has occurred. You have likely discovered a bug. "
        "Check failed: has_token Token authentication is enabled but there is no token.\n*** StackTrace ***\n/x.so"
    )
    assert join_check._cause(log) == "has_token Token authentication is enabled but there is no token."
    assert join_check._cause("") == "no message"
