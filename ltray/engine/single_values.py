"""BatchNorm cannot normalise a single value per channel: such a step raises a UsageError."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ltray.distributed import world_size
from ltray.errors import UsageError
from ltray.parts.batch_norm import WorkersBatchNorm
from ltray.parts.flows import FlowBatchNorm
from ltray.stage import Stage

OVER_WORKERS = (WorkersBatchNorm, nn.SyncBatchNorm, FlowBatchNorm)


@contextmanager
def refusing_single_values(stage: Stage) -> Iterator[None]:
    """Raise a UsageError for a BatchNorm with a single value per channel, in a step of one image per worker.

    Whether one image is too few depends on the layer: a feature map has many values per channel, a vector has one.

    Args:
        stage: The stage that trains.

    Raises:
        UsageError: A layer in training mode gets a single value; raised on every worker.
    """
    workers = world_size()
    layers = [m for m in stage.modules() if isinstance(m, _BatchNorm | FlowBatchNorm)]
    alone = [m for m in layers if workers == 1 or not isinstance(m, OVER_WORKERS)]
    hooks = [layer.register_forward_pre_hook(partial(_check, stage)) for layer in alone]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _check(stage: Stage, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    values = inputs[0]
    if not layer.training or values.numel() > values.shape[1]:
        return
    workers, asked = world_size(), stage.recipe.batch_size
    if asked > workers:
        raise UsageError(
            f"{type(stage).__name__} has BatchNorm, which needs 2 images per step on each worker, but the training "
            f"set has fewer than {2 * workers} images: add training images."
        )
    shared = f" on {workers} workers" if workers > 1 else ""
    raise UsageError(
        f"{type(stage).__name__} has BatchNorm, which needs 2 images per step on each worker, but got a batch size of "
        f"{asked}{shared}: set it to {2 * workers} or more."
    )
