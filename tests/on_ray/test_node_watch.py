"""Detection that Ray has stopped: by its processes or a silent control service, not by an empty answer."""

import socket

import pytest
import ray

from ltray.on_ray import node_watch
from ltray.on_ray.node_watch import joined_watch

OWN = "a1"
ALIVE, DEAD = [{"NodeID": OWN, "Alive": True}], [{"NodeID": OWN, "Alive": False}]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(node_watch.time, "monotonic", lambda: now[0])
    return now


def test_empty_or_failing_answer_is_not_a_death(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_watch, "_listens", lambda address: True)
    look = joined_watch("192.0.2.7:6379", OWN)

    def fail() -> None:
        raise ray.exceptions.RaySystemError("no answer")

    for answer in (list, lambda: [{"NodeID": "another", "Alive": False}], fail):
        monkeypatch.setattr(ray, "nodes", answer)
        assert [look() for _ in range(20)] == [""] * 20


def test_node_reported_dead_twice_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        look = joined_watch(f"127.0.0.1:{server.getsockname()[1]}", OWN)
        answers = iter([ALIVE, DEAD, ALIVE, DEAD, DEAD])
        monkeypatch.setattr(ray, "nodes", lambda: next(answers))
        assert [look() for _ in range(4)] == [""] * 4
        assert "node service (raylet) on this machine has exited" in look()


def test_control_service_may_restart_within_the_timeout(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    listens = True
    monkeypatch.setattr(node_watch, "_listens", lambda address: listens)
    monkeypatch.setattr(ray, "nodes", lambda: ALIVE)
    look = joined_watch("192.0.2.7:6379", OWN)
    assert look() == ""
    listens = False
    clock[0] = 30.0
    assert look() == ""
    listens = True
    assert look() == ""
    listens = False
    for clock[0] in (35.0, 69.0):
        assert look() == ""
    clock[0] = 71.0
    assert look() == "the cluster's control service at 192.0.2.7:6379 has not answered for 41 s"
    assert node_watch.SILENT_FOR < 60  # when Ray ends the process itself
