"""Connecting to Ray: what a user reads where it cannot be."""

import socket

import pytest
import ray

from ltray.errors import UsageError
from ltray.on_ray import cluster


def test_an_address_where_nobody_answers_is_refused_at_once(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound and not listening: nobody can answer here
        address = f"127.0.0.1:{free.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(UsageError, match=f"RAY_ADDRESS={address}: no Ray cluster answers there"):
            cluster.connect()


def test_a_ray_that_does_not_start_is_told_in_a_sentence(monkeypatch, capsys):
    def overloaded(**options):
        raise Exception("The current node timed out during startup. This could happen because ...")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "init", overloaded)
    with pytest.raises(SystemExit, match="1"):
        cluster.connect()
    assert "the same command tries again" in capsys.readouterr().err
