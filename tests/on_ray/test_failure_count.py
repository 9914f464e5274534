"""Retries of a failed run, and the messages about them."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.exceptions import RayActorError
from ray.train.v2._internal.exceptions import (
    UserExceptionWithTraceback,
    WorkerGroupStartupFailedError,
    WorkerGroupStartupTimeoutError,
    WorkerHealthCheckFailedError,
)
from ray.train.v2._internal.execution.failure_handling import FailureDecision
from ray.train.v2.api.exceptions import ControllerError, PreemptionError, WorkerGroupError
from ray.train.v2.api.preemption import PreemptionInfo

from ltray.errors import UsageError
from ltray.on_ray.callbacks.forgive_failures import ForgiveFailures
from ltray.on_ray.failure_count import FailureCount, interruption
from ltray.on_ray.scheduler import EPOCHS
from ltray.on_ray.trainer import Failure, ProgressPolicy, cause_of

KILLED = (
    "The actor died unexpectedly before finishing this task.\n\tclass_name: RayTrainWorker\n\tactor_id: 1f\n\tpid: 7\n"
    "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: Worker "
    "unexpectedly exits with a connection error code 2. End of file. Some common causes include: (1) the process was "
    "killed by the OOM killer due to high memory usage. (2) ray stop --force is called."
)


class Actor(RayActorError):
    """A RayActorError with a given message and cause, as sent by Ray."""

    def __init__(self, text: str = KILLED, *, preempted: bool = False) -> None:
        Exception.__init__(self, text)
        self._text, self._preempted = text, preempted

    def __str__(self) -> str:
        return self._text

    @property
    def preempted(self) -> bool:
        """Return whether its node was preempted."""
        return self._preempted


def died(**options: bool) -> WorkerGroupError:
    return WorkerGroupError("…", {1: WorkerHealthCheckFailedError("…", Actor(**options))})


def raised(error: Exception) -> WorkerGroupError:
    return WorkerGroupError("…", {0: UserExceptionWithTraceback(error, "a traceback\nof lines")})


@pytest.fixture
def policy(monkeypatch: pytest.MonkeyPatch) -> ProgressPolicy:
    monkeypatch.setattr(ProgressPolicy, "epoch", 0)
    failures: list[Failure] = []
    made = ProgressPolicy(SimpleNamespace(put=failures.append), retries=1)
    made.failures = failures
    return made


@given(st.lists(st.booleans(), max_size=60), st.integers(0, 3))
def test_only_failures_without_progress_in_between_count(steps: list[bool], allowed: int) -> None:
    failures, epoch, row = FailureCount(allowed), 0, 0
    for progress in steps:
        row = 1 if progress or row == 0 else row + 1
        epoch += progress
        assert failures.fail(epoch) == allowed - row


def test_run_with_progress_survives_any_number_of_failures(policy: ProgressPolicy) -> None:
    for epoch in range(1, 200):
        ProgressPolicy.epoch = epoch
        assert policy.make_decision(died()) == FailureDecision.RETRY
    assert {one.left for one in policy.failures} == {0} and len(policy.failures) == 199
    assert policy.make_decision(died()) == FailureDecision.RAISE and len(policy.failures) == 199


@pytest.mark.parametrize(
    "error", [died(), raised(RuntimeError("x")), ControllerError(WorkerGroupStartupFailedError("x"))]
)
def test_failures_without_progress_end_the_run(policy: ProgressPolicy, error: Exception) -> None:
    assert [policy.make_decision(error) for _ in range(2)] == [FailureDecision.RETRY, FailureDecision.RAISE]


@pytest.mark.parametrize(
    "error",
    [
        died(preempted=True),
        PreemptionError(PreemptionInfo(deadline_ms=None, preempted_node_to_ranks={"a": [0]})),
        ControllerError(WorkerGroupStartupTimeoutError(2)),
    ],
)
def test_preemption_and_waiting_do_not_count(policy: ProgressPolicy, error: Exception) -> None:
    assert [policy.make_decision(error) for _ in range(9)] == [FailureDecision.RETRY] * 9
    assert {one.left for one in policy.failures} == {None}


def test_usage_error_is_not_retried(policy: ProgressPolicy) -> None:
    assert policy.make_decision(raised(UsageError("the batch is too large"))) == FailureDecision.RAISE
    assert policy.failures == []


def test_cause_is_one_line_and_names_the_dead_worker() -> None:
    both = WorkerGroupError("…", {0: UserExceptionWithTraceback(RuntimeError("Connection reset"), "…"), 3: Actor()})
    expected = (
        "its process exited (SYSTEM_ERROR: Worker unexpectedly exits with a connection error code 2. End of file)"
    )
    assert cause_of(both) == f"worker 3: {expected}"
    assert cause_of(raised(RuntimeError("CUDA out\nof memory."))) == "worker 0: RuntimeError: CUDA out of memory"
    assert "did not start" in cause_of(ControllerError(WorkerGroupStartupTimeoutError(2)))


def test_messages_about_failures() -> None:
    assert interruption("the run", "worker 0: x", epoch=4, left=0) == (
        "the run was interrupted: worker 0: x; it continues from epoch 4 (retries left: 0)"
    )
    assert "restarts from the beginning (does not count" in interruption("trial 3", "x", epoch=0, left=None)


def test_failure_count_of_tune_restarts_with_a_new_epoch() -> None:
    forgive = ForgiveFailures()
    trial = SimpleNamespace(trial_id="t", last_result={EPOCHS: 3}, run_metadata=SimpleNamespace(num_failures=2))
    forgive.on_trial_recover(0, [], trial)
    forgive.on_trial_result(0, [], trial, {EPOCHS: 3})  # its last epoch is reported again
    assert trial.run_metadata.num_failures == 2
    forgive.on_trial_result(0, [], trial, {EPOCHS: 4})
    assert trial.run_metadata.num_failures == 0
