"""Communication between workers; every function is the identity in a single process."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


def world_size() -> int:
    """Number of workers."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Index of this worker, 0 in a single process."""
    return dist.get_rank() if world_size() > 1 else 0


def gather(rows: Tensor) -> Tensor:
    """Concatenate `rows` (n, …) of all workers in rank order, without gradient: (W·n, …).

    The shape must be the same on every worker.
    """
    if world_size() == 1:
        return rows.detach()
    parts = [torch.empty_like(rows) for _ in range(world_size())]
    dist.all_gather(parts, rows.detach().contiguous())
    return torch.cat(parts)


def gather_unequal(rows: Tensor) -> Tensor:
    """Concatenate `rows` (n, …) of all workers in rank order, without gradient; n may differ between workers."""
    if world_size() == 1:
        return rows.detach()
    counts = gather(torch.tensor([len(rows)], device=rows.device)).tolist()
    padded = torch.cat([rows.detach(), rows.new_zeros(max(counts) - len(rows), *rows.shape[1:])])
    parts = gather(padded).view(len(counts), max(counts), *rows.shape[1:])
    return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])


class _GatherWithGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.size = rows.shape[0]
        return gather(rows)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        grad = grad.contiguous().clone()
        dist.all_reduce(grad)
        return grad[rank() * ctx.size : (rank() + 1) * ctx.size]


def gather_with_gradient(rows: Tensor) -> Tensor:
    """Like `gather`, with the gradient of each row returned to its worker.

    If each worker's loss is a mean over its own anchors, the workers' average gradient
    (computed by DDP) is then the gradient of the mean over all anchors.
    """
    return rows if world_size() == 1 else _GatherWithGradient.apply(rows)


class _SumWithGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return total(value)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return total(grad)


def total(value: Tensor) -> Tensor:
    """Sum `value` over workers, without gradient."""
    value = value.detach().contiguous().clone()
    if world_size() > 1:
        dist.all_reduce(value)
    return value


def sum_with_gradient(value: Tensor) -> Tensor:
    """Sum `value` over workers; the gradient is summed too."""
    return value if world_size() == 1 else _SumWithGradient.apply(value)


def from_first(value: Tensor) -> Tensor:
    """Return rank 0's `value` on every worker: one random draw for the complete batch."""
    value = value.detach().contiguous().clone()
    if world_size() > 1:
        dist.broadcast(value, src=0)
    return value


def own_rows(whole: Tensor) -> Tensor:
    """Return this worker's rows of one random draw for the images of all workers.

    Args:
        whole: A row for each image of the complete batch, (W·B, …); rank 0's is used on every worker. A single process
            draws the same rows.

    Returns:
        (B, …).
    """
    rows = whole.shape[0] // world_size()
    return from_first(whole)[rank() * rows : (rank() + 1) * rows]


def data_parallel(module: nn.Module) -> nn.Module:
    """Return a module whose gradients are averaged over the workers in every backward pass.

    Its buffers (queues, prototypes, statistics of a shuffled BatchNorm) are set to those of rank 0 here, as in a
    checkpoint, and are not synchronised later: a method updates them equally on all workers, or separately.

    Args:
        module: Parameters on one device.
    """
    if world_size() == 1:
        return module
    model = DistributedDataParallel(module)
    # Set here, because the name of the argument differs between versions of torch, and the older one causes a warning.
    model.broadcast_buffers = False
    return model
