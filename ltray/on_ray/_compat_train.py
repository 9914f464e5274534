"""The private parts of Ray Train, in one place; tried with Ray 2.60. Those of Ray itself are in `_compat`.

They are apart because importing Ray Train takes seconds, which what only asks a cluster need not wait for.
"""

import uuid
from typing import Any

from ray.train._internal.utils import get_address_and_port
from ray.train.torch import TorchTrainer
from ray.train.torch.config import _set_torch_distributed_env_vars as set_torch_variables
from ray.train.torch.config import _TorchBackend as TorchBackend
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.constants import CHECKPOINT_MANAGER_SNAPSHOT_FILENAME
from ray.train.v2._internal.exceptions import (
    UserExceptionWithTraceback,
    WorkerGroupStartupTimeoutError,
    WorkerHealthCheckFailedError,
)
from ray.train.v2._internal.execution.callback import ControllerCallback
from ray.train.v2._internal.execution.failure_handling import FailureDecision, FailurePolicy
from ray.train.v2._internal.execution.worker_group import worker_group
from ray.util.placement_group import PlacementGroup, placement_group

__all__ = [
    "CHECKPOINT_MANAGER_SNAPSHOT_FILENAME",
    "ControllerCallback",
    "FailureDecision",
    "FailurePolicy",
    "PlacementGroupCleanerCallback",
    "TorchBackend",
    "Trainer",
    "WorkerGroupStartupTimeoutError",
    "get_address_and_port",
    "name_placement_groups",
    "raised_by_worker",
    "set_torch_variables",
]


class Trainer(TorchTrainer):
    """A TorchTrainer with a failure policy of its own, and without what ends healthy runs.

    Ray Train starts a detached process a run that asks the State API every second whether the run's controller lives,
    and takes an answer without content for a death: on a loaded machine it removed the workers of a healthy run. It is
    there to free what a run had reserved whose controller died while its driver lives. Here the process that waits for
    the controller does that itself (`workers.free`), once Ray's control service has reported the death; and what a
    driver had reserved Ray frees with the driver's job.

    Args:
        policy: Decides whether a failed run starts again.
        words: As TorchTrainer takes them.
        options: As TorchTrainer takes them.
    """

    def __init__(self, *words: Any, policy: FailurePolicy, **options: Any) -> None:
        super().__init__(*words, **options)
        self._policy = policy

    def _create_default_callbacks(self) -> list[Any]:
        callbacks = super()._create_default_callbacks()
        return [one for one in callbacks if not isinstance(one, PlacementGroupCleanerCallback)]

    def _initialize_and_run_controller(self, **parts: Any) -> Any:
        return super()._initialize_and_run_controller(**(parts | {"failure_policy": self._policy}))


def name_placement_groups(prefix: str) -> None:
    """Give what this process's runs reserve from here on a name that begins with this prefix, each its own."""

    def named(*words: Any, **options: Any) -> PlacementGroup:
        # No two may have one name, also where Train starts the workers again.
        return placement_group(*words, **options, name=f"{prefix}{uuid.uuid4().hex}")

    worker_group.placement_group = named


def raised_by_worker(error: BaseException) -> BaseException:
    """Return what a worker raised, out of Ray Train's wrapping."""
    if isinstance(error, WorkerHealthCheckFailedError):
        return error.health_check_failure  # type: ignore[no-any-return]
    return error._base_exc if isinstance(error, UserExceptionWithTraceback) else error
