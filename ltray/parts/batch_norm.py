"""BatchNorm over all workers, so that N workers compute the same as one."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ltray.distributed import sum_with_gradient, world_size
from ltray.errors import UsageError


class WorkersBatchNorm(_BatchNorm):
    """BatchNorm1d and BatchNorm2d with statistics over the rows of all workers, on CPU.

    The mean is computed first, then the variance around it; the mean of squares would lose digits by cancellation.
    The keys of the state and the running statistics (unbiased variance) are the same as in torch.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C) or (B, C, H, W); B may differ between workers.

        Raises:
            ValueError: A single value per channel in training, over all workers.
        """
        if not self.training:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
        axes = [axis for axis in range(x.dim()) if axis != 1]
        rows = wide.new_tensor(x.numel() / x.shape[1])
        count = sum_with_gradient(rows)
        if count <= 1:
            raise ValueError(f"BatchNorm needs more than 1 value per channel in training, but got {tuple(x.shape)}.")
        mean = sum_with_gradient(wide.sum(axes)) / count
        centred = wide - _per_channel(mean, x)
        variance = sum_with_gradient(centred.square().sum(axes)) / count
        self._remember(mean, variance * count / (count - 1))
        normal = centred * _per_channel((variance + self.eps).rsqrt(), x)
        return (normal * _per_channel(self.weight, x) + _per_channel(self.bias, x)).to(x.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, unbiased: Tensor) -> None:
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)

    def _check_input_dim(self, input: Tensor) -> None:
        """Accept two or more dimensions."""


def _per_channel(values: Tensor, like: Tensor) -> Tensor:
    return values.view(1, -1, *[1] * (like.dim() - 2))


def synchronise(module: nn.Module) -> None:
    """Replace every BatchNorm1d and BatchNorm2d below `module` by one over all workers.

    Parameters and buffers stay the same objects, and a layer that is used in several places
    stays one layer. The activation in timm's layers is kept. A layer with the attribute
    `local_batch_norm = True`, on itself or on a module above it, is not replaced: its workers see
    the same rows (BCL's prototypes) or must not share statistics (PaCo's key encoder). With one
    worker nothing changes.

    Args:
        module: The stages of a run, on their final device; changed in place.
    """
    if world_size() > 1:
        _synchronise_children(module, {})


def check_over_workers(module: nn.Module) -> None:
    """Check that every BatchNorm below a module can be computed over several workers; nothing is changed.

    Raises:
        UsageError: One cannot.
    """
    for child in module.children():
        if getattr(child, "local_batch_norm", False):
            continue
        if isinstance(child, PLAIN):
            _check_kind(child)
        else:
            check_over_workers(child)


def _synchronise_children(module: nn.Module, replaced: dict[nn.Module, nn.Module]) -> None:
    for name, child in module._modules.items():  # named_children() would skip a second name
        if child is None or getattr(child, "local_batch_norm", False):
            continue
        if isinstance(child, PLAIN):
            if child not in replaced:
                replaced[child] = _over_workers(child)
            setattr(module, name, replaced[child])
        else:
            _synchronise_children(child, replaced)


class _WorkersBatchNormAct(WorkersBatchNorm):
    """timm's BatchNormAct2d (BatchNorm, then DropBlock and activation) over all workers, on CPU."""

    drop: nn.Module
    act: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, H, W), then apply DropBlock and the activation."""
        activated: Tensor = self.act(self.drop(super().forward(x)))
        return activated


class _SyncBatchNormAct(nn.SyncBatchNorm):
    """timm's BatchNormAct2d over all workers, on GPU."""

    drop: nn.Module
    act: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, H, W), then apply DropBlock and the activation."""
        activated: Tensor = self.act(self.drop(super().forward(x)))
        return activated


ACTIVATED = ["drop", "act"]  # the children of timm's BatchNorm with an activation
PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d)
"""Layers that only normalise; a replacement of a derived class must also do what the derived class adds."""


def _check_kind(layer: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
    if type(layer) not in PLAIN and [name for name, _ in layer.named_children()] != ACTIVATED:
        raise UsageError(
            f"`{type(layer).__name__}` is a kind of BatchNorm that cannot be computed over several workers: train "
            "with 1 worker, or use another backbone."
        )


def _over_workers(layer: nn.BatchNorm1d | nn.BatchNorm2d) -> nn.Module:
    _check_kind(layer)
    kind: type[nn.SyncBatchNorm | WorkersBatchNorm] = nn.SyncBatchNorm if layer.weight.is_cuda else WorkersBatchNorm
    if type(layer) not in PLAIN:
        kind = _SyncBatchNormAct if layer.weight.is_cuda else _WorkersBatchNormAct
    new = kind(layer.num_features, eps=layer.eps, momentum=layer.momentum)
    for name, child in layer.named_children():
        setattr(new, name, child)
    for name, parameter in layer.named_parameters():
        setattr(new, name, parameter)
    for name, buffer in layer.named_buffers():
        setattr(new, name, buffer)
    return new.train(layer.training)
