"""The private parts of Ray Train, in one place; tested with Ray 2.60. Those of Ray itself are in `_compat`.

They are in a separate file because the import of Ray Train takes seconds, and code that only queries a cluster does not
need it.
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
    """A TorchTrainer with another failure policy, and without the process that may end healthy runs.

    For each run, Ray Train starts a detached process that queries the State API every second for the run's controller.
    It treats an empty answer as the end of the controller: on a loaded machine, it removed the workers of a healthy
    run. Its purpose is to free a run's resources if the controller ends while the driver is running. Here, the process
    that waits for the controller does this (`workers.free`) after Ray's control service has reported the end. If the
    driver ends, Ray frees its resources with its job.

    Args:
        policy: Decides whether a failed run restarts.
        arguments: Positional arguments of TorchTrainer.
        options: Keyword arguments of TorchTrainer.
    """

    def __init__(self, *arguments: Any, policy: FailurePolicy, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._policy = policy

    def _create_default_callbacks(self) -> list[Any]:
        callbacks = super()._create_default_callbacks()
        return [one for one in callbacks if not isinstance(one, PlacementGroupCleanerCallback)]

    def _initialize_and_run_controller(self, **parts: Any) -> Any:
        return super()._initialize_and_run_controller(**(parts | {"failure_policy": self._policy}))


def name_placement_groups(prefix: str) -> None:
    """Set the prefix of the unique names of the placement groups of this process's future runs."""

    def named(*arguments: Any, **options: Any) -> PlacementGroup:
        # Names must be unique, even if Train restarts the workers.
        return placement_group(*arguments, **options, name=f"{prefix}{uuid.uuid4().hex}")

    worker_group.placement_group = named


def raised_by_worker(error: BaseException) -> BaseException:
    """Return the exception of a worker, without Ray Train's wrapper."""
    if isinstance(error, WorkerHealthCheckFailedError):
        return error.health_check_failure  # type: ignore[no-any-return]
    return error._base_exc if isinstance(error, UserExceptionWithTraceback) else error
