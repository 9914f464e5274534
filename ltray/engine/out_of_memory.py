"""The error of a training step that does not fit into memory: it names a batch that does, found by trial."""

import resource
import traceback
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from ltray.distributed import world_size
from ltray.engine.train_step import loss_of
from ltray.errors import UsageError
from ltray.quantities import file_size
from ltray.stage import Data, Stage

# Parts of the messages with which torch's allocator, oneDNN and C++ say that there is no memory left.
MESSAGES = (
    "can't allocate memory",
    "out of memory",
    "bad_alloc",
    "could not create a memory",
    "Cannot allocate memory",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether memory could not be allocated, on a GPU or on the host."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError | OSError) and any(text in str(error) for text in MESSAGES)


def memory_explained(
    epochs: Iterator[dict[str, float]], stage: Stage, data: Data, device: torch.device
) -> Iterator[dict[str, float]]:
    """Yield the reports of a stage's epochs; turn an error of memory into one that names a batch that fits.

    Args:
        epochs: Trains an epoch for each report.
        stage: The stage that is trained.
        data: The data of its batches.
        device: The device of the stage.

    Raises:
        UsageError: Memory could not be allocated.
    """
    try:
        yield from epochs
    except (RuntimeError, MemoryError, OSError) as error:
        if not is_out_of_memory(error):
            raise
        traceback.clear_frames(error.__traceback__)  # they hold the tensors of the step
        size, views = stage.recipe.batch_size, len(stage.views)
        raise UsageError(
            f"The memory of {_memory_of(device)} is not sufficient for a training step of {type(stage).__name__} with "
            f"batch_size={size}{f' ({views} views of each image)' if views > 1 else ''}. "
            f"{_remedy(largest_batch(stage, data, device), size)}"
        ) from error


def largest_batch(stage: Stage, data: Data, device: torch.device) -> int:
    """Return the largest batch among the halves, quarters, … of the stage's batch with which a step succeeds.

    With several workers, a trial of one of them would wait for the others, and there is none.

    Args:
        stage: The stage; its parameters lose their gradients.
        data: The data of its batches.
        device: The device of the stage.

    Returns:
        0 if there is none.
    """
    size, recipe = stage.recipe.batch_size // 2, stage.recipe
    while size >= 1 and world_size() == 1:
        stage.recipe = recipe.replace(batch_size=size)
        if _succeeds(lambda: _try_step(stage, data)):
            break
        size //= 2
    stage.recipe = recipe
    _free(stage, device)
    return size if world_size() == 1 else 0


def _try_step(stage: Stage, data: Data) -> Tensor:
    loader = data.training(stage, stage.select(data.without_augmentation()), seed=0)
    loss = loss_of(stage, next(iter(loader.epoch(0))), stage.recipe.precision)[1]
    loss.backward()  # type: ignore[no-untyped-call]
    return loss


def _succeeds(step: Callable[[], object]) -> bool:
    try:
        step()
    except (RuntimeError, MemoryError, OSError) as error:
        if not is_out_of_memory(error):
            raise
        traceback.clear_frames(error.__traceback__)
        return False
    return True


def _free(stage: nn.Module, device: torch.device) -> None:
    stage.zero_grad(set_to_none=True)
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _memory_of(device: torch.device) -> str:
    """Return a device with its memory as text: "the GPU (NVIDIA H100, 79.6 GiB)"."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return f"the GPU ({properties.name}, {file_size(properties.total_memory)})"
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return "this process" + (f" (at most {file_size(limit)})" if limit != resource.RLIM_INFINITY else "")


def _remedy(fits: int, size: int) -> str:
    if fits:
        return f"A step of {fits} fits: set batch_size={fits}."
    if world_size() > 1:
        return f"Set a smaller batch_size, such as {max(size // 2 // world_size(), 1) * world_size()}."
    return "Not even a step of one image fits: use smaller images or a smaller backbone."
