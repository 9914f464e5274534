"""Masked autoregressive flow with BatchNorm between its blocks, and its inverse.

Source: Papamakarios et al., Masked Autoregressive Flow for Density Estimation, NeurIPS 2017
(arXiv:1705.07057), as DLSA's official code builds it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltray.distributed import sum_with_gradient, total, world_size


class MaskedLinear(nn.Linear):
    """A linear layer that ignores part of its inputs.

    Args:
        mask: Whether an output depends on an input, bool (outputs, inputs).
    """

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs) to (B, outputs)."""
        return F.linear(x, self.weight * self.mask, self.bias)


class MADE(nn.Module):
    """One autoregressive transform: u_i = (x_i − m_i)·exp(−log a_i), m and a of earlier inputs only.

    Args:
        degrees: Rank of each input in the order of generation (D,), a permutation of
            0 … D−1 with D >= 2.
        hidden: Width of the hidden layers, D in DLSA.
        hidden_layers: Masked layers between the first and the last.
    """

    degrees: Tensor

    def __init__(self, degrees: Tensor, *, hidden: int, hidden_layers: int = 1) -> None:
        super().__init__()
        self.register_buffer("degrees", degrees, persistent=False)
        inner = torch.arange(hidden) % (len(degrees) - 1)
        within, first = inner[:, None] >= inner[None], inner[:, None] >= degrees[None]
        last = (degrees[:, None] > inner[None]).repeat(2, 1)
        masks = [first, *[within] * hidden_layers, last]
        self.layers = nn.ModuleList(MaskedLinear(mask) for mask in masks)

    def _parameters_of(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return m and log a (B, D) of each input."""
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        mean, log_scale = self.layers[-1](x).chunk(2, dim=1)
        return mean, log_scale

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (B, D) to u (B, D) and the log-derivatives ∂u_i/∂x_i (B, D)."""
        mean, log_scale = self._parameters_of(x)
        return (x - mean) * torch.exp(-log_scale), -log_scale

    def inverse(self, u: Tensor) -> Tensor:
        """Map u (B, D) back to x (B, D), one input after the other: D passes."""
        x = torch.zeros_like(u)
        # In the order of the ranks; the official code uses ranks as indices, which is wrong for most orders.
        for index in self.degrees.argsort().tolist():
            mean, log_scale = self._parameters_of(x)
            x[:, index] = u[:, index] * torch.exp(log_scale[:, index]) + mean[:, index]
        return x


class FlowBatchNorm(nn.Module):
    """BatchNorm as a transform with a known derivative; its statistics are computed over all workers.

    The variance is unbiased, also in training; the running statistics have a momentum of 0.9.

    Args:
        width: Number of inputs D.
    """

    running_mean: Tensor
    running_var: Tensor
    epsilon = 1e-5
    momentum = 0.9  # weight of the old running statistics

    def __init__(self, width: int) -> None:
        super().__init__()
        self.log_gamma = nn.Parameter(torch.zeros(width))
        self.beta = nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (B, D) to (B, D) and the log-derivatives (D,).

        Raises:
            ValueError: A single row over all workers, in training.
        """
        mean, variance = self._batch_statistics(x) if self.training else (self.running_mean, self.running_var)
        width = variance + self.epsilon
        normal = (x - mean) / width.sqrt()
        return self.log_gamma.exp() * normal + self.beta, self.log_gamma - 0.5 * width.log()

    def inverse(self, y: Tensor) -> Tensor:
        """Map (B, D) back to (B, D) with the running statistics."""
        normal = (y - self.beta) * torch.exp(-self.log_gamma)
        return normal * (self.running_var + self.epsilon).sqrt() + self.running_mean

    def _batch_statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        rows = float(len(x) if world_size() == 1 else total(x.new_tensor(float(len(x)))))
        if rows < 2:
            raise ValueError(f"Flow BatchNorm needs at least 2 rows in training, but got {rows:.0f}.")
        mean = sum_with_gradient(x.sum(dim=0)) / rows
        variance = sum_with_gradient((x - mean).square().sum(dim=0)) / (rows - 1)
        with torch.no_grad():
            self.running_mean.lerp_(mean, 1.0 - self.momentum)
            self.running_var.lerp_(variance, 1.0 - self.momentum)
        return mean, variance


class AutoregressiveFlow(nn.Module):
    """Blocks of MADE and BatchNorm; every second block has the inputs in reverse order.

    Args:
        width: Number of inputs D, at least 2.
        hidden: Width of the hidden layers, or None for D.
        blocks: Number of MADE blocks.
        hidden_layers: Number of hidden-to-hidden layers of each block.
        batch_norm: Whether a BatchNorm follows each block.
    """

    def __init__(
        self,
        width: int,
        *,
        hidden: int | None = None,
        blocks: int = 2,
        hidden_layers: int = 1,
        batch_norm: bool = True,
    ) -> None:
        super().__init__()
        order = torch.arange(width)
        parts: list[nn.Module] = []
        for block in range(blocks):
            degrees = order if block % 2 == 0 else order.flip(0)
            parts.append(MADE(degrees, hidden=hidden or width, hidden_layers=hidden_layers))
            if batch_norm:
                parts.append(FlowBatchNorm(width))
        self.transforms = nn.ModuleList(parts)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (B, D) to u (B, D) and log-derivatives (B, D), whose row sums are log|det ∂u/∂x|."""
        log_derivatives = torch.zeros_like(x)
        for transform in self.transforms:
            x, change = transform(x)
            log_derivatives = log_derivatives + change
        return x, log_derivatives

    def inverse(self, u: Tensor) -> Tensor:
        """Map u (B, D) back to x (B, D), in evaluation mode."""
        for transform in reversed(self.transforms):
            assert isinstance(transform, MADE | FlowBatchNorm)
            u = transform.inverse(u)
        return u
