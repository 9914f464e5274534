"""Small trainable modules inside a frozen network: AdaptFormer, adapters, LoRA, prompts.

As LIFT and LIFT+ (Shi et al., ICML 2024, arXiv:2309.10019; arXiv:2504.13282) compute them, with LIFT+'s initialisation.
Hooks find their module through the block that calls them, so that each copy of a network uses its own modules.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ltray.parts.blocks import TransformerBlock

PROMPT_DEVIATION = 0.02


class Bottleneck(nn.Module):
    """U·relu(V·LN(x) + b₁) + b₂ over the last axis, 0 at the start.

    Args:
        width: Width of its input and output, D.
        size: Width of the bottleneck, r.
        scaled: Whether a learnable scalar multiplies the result (AdaptFormer).
    """

    def __init__(self, width: int, size: int, *, scaled: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-5)
        self.down, self.up = nn.Linear(width, size), nn.Linear(size, width)
        nn.init.kaiming_uniform_(self.down.weight, a=math.sqrt(5))
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)
        self.scale = nn.Parameter(torch.ones(())) if scaled else None

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., D) to (..., D)."""
        found: Tensor = self.up(F.relu(self.down(self.norm(x))))
        return found if self.scale is None else self.scale * found


class ChannelBottleneck(Bottleneck):
    """The same at every position of a feature map (B, D, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, D, H, W) to (B, D, H, W)."""
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class LowRank(nn.Module):
    """Adds low-rank matrices, divided by r, to parts of a frozen weight; 0 at the start.

    For y = x·Wᵀ the pair (A, B) adds x·A·B/r to y.

    Args:
        weight: The frozen weight: its first axis is the output, all others are the input.
        size: Rank r.
        parts: Names of equal parts of the output, in order; "" for a part that is not changed.
    """

    def __init__(self, weight: Tensor, size: int, parts: Sequence[str]) -> None:
        super().__init__()
        self.parts = tuple(parts)
        outputs, inputs = len(weight) // len(parts), weight[0].numel()
        self.rank = size
        self.down = nn.ParameterDict({name: nn.Parameter(torch.empty(inputs, size)) for name in parts if name})
        self.up = nn.ParameterDict({name: nn.Parameter(torch.zeros(size, outputs)) for name in parts if name})
        for matrix in self.down.values():
            nn.init.kaiming_uniform_(matrix, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight plus the learned low-rank matrices."""
        rows = len(weight) // len(self.parts)
        added = [
            (self.down[name] @ self.up[name]).T / self.rank if name else weight.new_zeros(rows, weight[0].numel())
            for name in self.parts
        ]
        return weight + torch.cat(added).view_as(weight)


class Prompts(nn.Module):
    """Learned tokens (T, D), which a block reads after the class token; they are removed after the block.

    Args:
        width: Width of a token, D.
        size: Number of tokens, T.
        prefix: Tokens before them.
    """

    def __init__(self, width: int, size: int, prefix: int) -> None:
        super().__init__()
        self.prefix = prefix
        self.tokens = nn.Parameter(PROMPT_DEVIATION * torch.randn(size, width))

    def put_in(self, x: Tensor) -> Tensor:
        """Map tokens (B, n, D) to (B, n + T, D)."""
        own = self.tokens.to(x.dtype).expand(len(x), -1, -1)
        return torch.cat([x[:, : self.prefix], own, x[:, self.prefix :]], dim=1)

    def take_out(self, x: Tensor) -> Tensor:
        """Map tokens (B, n + T, D) to (B, n, D)."""
        return torch.cat([x[:, : self.prefix], x[:, self.prefix + len(self.tokens) :]], dim=1)


def add_adaptformer(block: TransformerBlock, size: int) -> None:
    """Add s·bottleneck(a) to a block's output; a is the input of its second norm."""
    norm = block.module.get_submodule(block.second_norm)
    block.module.adaptformer = Bottleneck(block.width, size, scaled=True)
    block.module.__dict__["adaptformer_reads"] = block.second_norm
    norm.register_forward_pre_hook(_remember)
    block.module.register_forward_hook(_add_adaptformer)


def add_adapter(block: TransformerBlock, size: int) -> None:
    """Add a bottleneck to a block's MLP: m + bottleneck(m)."""
    _attach(block.mlp, Bottleneck(block.width, size, scaled=False))


def add_channel_adapter(block: nn.Module, width: int, size: int) -> None:
    """Add a bottleneck to the output (B, width, H, W) of a block of a convolutional network."""
    _attach(block, ChannelBottleneck(width, size, scaled=False))


def add_prompts(block: TransformerBlock, size: int) -> None:
    """Add prompts to a block."""
    assert block.prefix is not None
    block.module.prompts = Prompts(block.width, size, block.prefix)
    block.module.register_forward_pre_hook(_put_in)
    block.module.register_forward_hook(_take_out)


def add_lora(module: nn.Module, name: str, size: int, parts: Sequence[str] = ("all",)) -> None:
    """Add low-rank matrices to a parameter of a module; see `LowRank`."""
    added = LowRank(module.get_parameter(name), size, parts)
    parametrize.register_parametrization(module, name, added)


def _attach(module: nn.Module, adapter: nn.Module) -> None:
    if isinstance(module, nn.Sequential):  # a Sequential calls all of its children
        module.add_module("adapter", _Residual(adapter))
        return
    module.adapter = adapter
    module.register_forward_hook(_add_adapter)


class _Residual(nn.Module):
    """x + inner(x)."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = self.inner(x)
        return x + added


def _add_adapter(module: Any, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
    added: Tensor = module.adapter(output)
    return output + added


def _remember(norm: nn.Module, inputs: tuple[Any, ...]) -> None:
    norm.__dict__["residual"] = inputs[0]


def _add_adaptformer(block: Any, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
    residual = getattr(block, block.adaptformer_reads).__dict__.pop("residual")
    added: Tensor = block.adaptformer(residual)
    return output + added.view_as(output)


def _put_in(block: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return (block.prompts.put_in(inputs[0]), *inputs[1:])


def _take_out(block: Any, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
    found: Tensor = block.prompts.take_out(output)
    return found
