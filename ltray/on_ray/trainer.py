"""The restarts of a failed run of Ray Train, and the reason of the failure in one line."""

import re
from dataclasses import dataclass

from ray.exceptions import RayActorError
from ray.train.v2.api.config import FailureConfig
from ray.train.v2.api.exceptions import ControllerError, PreemptionError, TrainingFailedError, WorkerGroupError
from ray.util.queue import Queue

from ltray.errors import UsageError
from ltray.files import reason
from ltray.on_ray._compat_train import (
    FailureDecision,
    FailurePolicy,
    WorkerGroupStartupTimeoutError,
    raised_by_worker,
)
from ltray.on_ray.failure_count import FailureCount

EXIT = re.compile(r"Worker exit type: (\w+) Worker exit detail: (.*?)(?: Some common causes|$)", re.DOTALL)


@dataclass(frozen=True)
class Failure:
    """A failure after which a run restarts.

    Attributes:
        reason: The reason of the failure, in one line.
        left: Number of further failures without progress after which it restarts; None: this failure does not count.
    """

    reason: str
    left: int | None


class ProgressPolicy(FailurePolicy):
    """Restarts a failed run as long as it makes progress, and reports each restart to the process that started the run.

    It runs in the process of the run's controller. The loss of a node (preemption) and waiting for resources do not
    count as failures; after a user's mistake the run fails immediately.

    Args:
        reports: Receives a `Failure` for each failure after which the run restarts.
        retries: Number of failures without progress after which the run restarts.

    Attributes:
        epoch: The last epoch that this process's run has reported. A class attribute, because Ray copies policies and
            callbacks into the process one by one, and there is one run per process.
    """

    epoch = 0

    def __init__(self, reports: Queue, retries: int) -> None:
        super().__init__(FailureConfig(max_failures=retries))
        self._reports, self._failures = reports, FailureCount(retries)

    def make_decision(self, training_failed_error: TrainingFailedError) -> FailureDecision:
        """Return the decision, and report a failure after which the run restarts."""
        if is_users(training_failed_error):
            return FailureDecision.RAISE
        left = self._failures.fail(ProgressPolicy.epoch) if counts(training_failed_error) else None
        if left is not None and left < 0:
            return FailureDecision.RAISE
        self._reports.put(Failure(cause_of(training_failed_error), left))
        return FailureDecision.RETRY


def counts(error: TrainingFailedError) -> bool:
    """Return whether an error is a failure of the run, not the loss of a node or a wait for resources."""
    if isinstance(error, ControllerError):
        return not isinstance(error.controller_failure, WorkerGroupStartupTimeoutError)
    return not isinstance(error, PreemptionError) and not any(_is_preempted(one) for one in _failures(error).values())


def is_users(error: TrainingFailedError) -> bool:
    """Return whether a user's mistake is the cause, so that another try would fail in the same way."""
    return any(isinstance(one, UsageError) for one in _failures(error).values())


def cause_of(error: TrainingFailedError) -> str:
    """Return the reason of a failure in one line, without Ray's possible reasons and stack traces."""
    if isinstance(error, PreemptionError):
        return "a node of its workers was removed"
    if isinstance(error, ControllerError):
        return f"the workers did not start ({reason(error.controller_failure)[:300]})"
    failures = _failures(error)
    if not failures:
        return reason(error)[:300]
    # If one worker ends, the others fail too, in their next collective operation.
    rank = next((rank for rank, one in failures.items() if isinstance(one, RayActorError)), min(failures))
    return f"worker {rank}: {cause_of_death(failures[rank])}"


def cause_of_death(error: BaseException) -> str:
    """Return the reason why a process of Ray ended, or its exception, in one line."""
    text = " ".join(str(error).split())
    found = EXIT.search(text)
    if found:
        detail = found[2].split(" The process receives")[0]
        return f"its process exited ({found[1]}: {detail[:200].rstrip(' .')})"
    if isinstance(error, RayActorError):
        return f"its process exited ({text[:200].rstrip(' .')})"
    return f"{type(error).__name__}: {reason(error)[:300]}"


def _failures(error: TrainingFailedError) -> dict[int, BaseException]:
    """Return the exceptions of the workers, by rank, without Ray's wrappers."""
    raised = error.worker_failures if isinstance(error, WorkerGroupError) else {}
    return {rank: raised_by_worker(one) for rank, one in raised.items()}


def _is_preempted(error: BaseException) -> bool:
    return isinstance(error, RayActorError) and error.preempted
