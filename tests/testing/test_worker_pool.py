"""The pool of workers: each call gets its own answers, also after a failed call."""

import os
import time
import warnings

import pytest
import torch
import torch.distributed as dist

from ltray.testing.worker_pool import WorkerPool


def answer(value: int) -> int:
    return value


def slow_on_one(rank: int, seconds: float, value: int) -> int:
    if dist.get_rank() == rank:
        time.sleep(seconds)
    return value


def total(value: float) -> float:
    """A collective operation: unsynchronized workers would add numbers of different calls."""
    found = torch.tensor(value)
    dist.all_reduce(found)
    return found.item()


def fails_on_one(value: float) -> float:
    if dist.get_rank() == 0:
        raise ValueError("rank 0 fails before the sum")
    return total(value)


def ends_on_one(value: int) -> int:
    if dist.get_rank() == 1:
        os._exit(3)
    return value


@pytest.fixture(scope="module")
def pool():
    with WorkerPool(2) as workers:
        assert workers.run(answer, 0) == [0, 0]  # this module is imported: later calls are fast
        yield workers


def test_late_answer_is_not_returned_to_the_next_call(pool, monkeypatch):
    monkeypatch.setattr(pool, "timeout", 0.5)
    with pytest.raises(TimeoutError, match=r"Worker 1 did not answer slow_on_one within 0\.5 s\."):
        pool.run(slow_on_one, 1, 2.0, 111)
    monkeypatch.undo()
    for value in (1.0, 2.0, 3.0):
        assert pool.run(total, value) == [2 * value, 2 * value]


@pytest.mark.slow
def test_unsynchronized_workers_are_replaced(pool, monkeypatch):
    monkeypatch.setattr(pool, "timeout", 2.0)
    with pytest.raises((RuntimeError, TimeoutError)):
        pool.run(fails_on_one, 5.0)
    monkeypatch.undo()
    assert pool.run(total, 1.0) == [2.0, 2.0]


@pytest.mark.slow
def test_dead_worker_is_named_and_replaced(pool):
    with pytest.raises(RuntimeError, match=r"The process of worker 1 ended in ends_on_one\."):
        pool.run(ends_on_one, 1)
    assert pool.run(answer, 6) == [6, 6]


@pytest.mark.slow
def test_interrupted_call_leaves_no_answer(pool, monkeypatch):
    def interrupted(*_):
        time.sleep(0.2)  # both workers have answered
        raise KeyboardInterrupt

    monkeypatch.setattr(pool, "_answers", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pool.run(answer, 1)
    monkeypatch.undo()
    assert pool.run(answer, 2) == [2, 2]


def warn(text: str) -> str:
    warnings.warn(text, FutureWarning, stacklevel=1)
    return text


@pytest.mark.filterwarnings("error", "ignore:known to be harmless")
def test_workers_use_the_warning_filters_of_the_parent():
    with WorkerPool(1) as own:
        assert own.run(warn, "known to be harmless, as documented") == ["known to be harmless, as documented"]
        with pytest.raises(RuntimeError, match="FutureWarning: another"):
            own.run(warn, "another")
