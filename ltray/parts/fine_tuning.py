"""The part of a pretrained backbone that is trained, and the modules that are inserted for the training."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ltray.errors import UsageError, chosen
from ltray.network import Backbone
from ltray.parts.adapters import add_adapter, add_adaptformer, add_channel_adapter, add_lora, add_prompts
from ltray.parts.blocks import TransformerBlock, blocks_of, innermost, transformer_blocks

ALL, HEAD = "all", "head"
TRANSFORMERS_ONLY = {"adaptformer", "prompts"}
NORMS = (_BatchNorm, nn.LayerNorm, nn.GroupNorm)
PROBE = 64  # pixels of the image that measures the channels of a convolutional network's blocks


@dataclass(frozen=True)
class Trained:
    """The trained part of a module; the rest is frozen and in evaluation mode. Read by the engine.

    Attributes:
        parameters: Names of its trained parameters.
        modes: Names of the modules in it that are in training mode.
    """

    parameters: frozenset[str] = field(default_factory=frozenset)
    modes: frozenset[str] = field(default_factory=frozenset)


def tune(backbone: Backbone, what: str, *, classes: int, size: int = 0) -> None:
    """Freeze a backbone except for a part, for the complete run.

    Args:
        backbone: The backbone with its weights; changed in place.
        what: A key of `TRAIN`.
        classes: Number of classes K, for the default size.
        size: Bottleneck, rank or number of prompts; 0: `default_size`.

    Raises:
        UsageError: The backbone has no such part, or `what` is impossible for it; the message lists the possible
            values.
    """
    choice = chosen(what, TRAIN, "a part of a network to train (`train`)")
    if what == ALL:
        return
    known = set(backbone.parameters())
    whole = choice(_Request(backbone, what, classes, size))
    inserted = {parameter for parameter in backbone.parameters() if parameter not in known}
    moving = {p for one in whole for p in (one.parameters() if isinstance(one, nn.Module) else [one])} | inserted
    active = {inner for one in whole if isinstance(one, nn.Module) for inner in one.modules()}
    trained = Trained(
        frozenset(name for name, parameter in backbone.named_parameters() if parameter in moving),
        frozenset(name for name, module in backbone.named_modules() if module in active),
    )
    if what != HEAD and not trained.parameters:
        raise UsageError(f"`train` is {what!r}, but the backbone has no {what}; {_others(backbone, what)}")
    backbone.tuned = trained  # type: ignore[assignment]  # read by the engine


def default_size(what: str, *, classes: int, blocks: int) -> int:
    """Return the bottleneck r, the rank, or the number of prompts, a power of two.

    Source: LIFT+'s code: K/(2·blocks) for adapters, K/(4·blocks) for LoRA's two pairs, K/blocks for prompts, rounded
    down to a power of two.

    Args:
        what: A key of `SHARES`.
        classes: Number of classes K.
        blocks: Number of blocks of the network.
    """
    return 1 << max(0, math.floor(math.log2(classes / (SHARES[what] * blocks))))


SHARES: Mapping[str, int] = {"adaptformer": 2, "adapter": 2, "lora": 4, "prompts": 1}
"""The ways to train that insert modules into the blocks, and the divisor of K/blocks in the rule for their size."""


@dataclass(frozen=True)
class _Request:
    backbone: Backbone
    what: str
    classes: int
    given_size: int

    def size(self, blocks: int) -> int:
        return self.given_size or default_size(self.what, classes=self.classes, blocks=blocks)

    def transformer(self) -> list[TransformerBlock]:
        return transformer_blocks(self.backbone)

    def blocks(self) -> list[nn.Module]:
        found = [block.module for block in self.transformer()] or blocks_of(self.backbone)
        if not found:
            raise UsageError(
                f"`train` is {self.what!r}, but the blocks of this backbone, {type(self.backbone).__name__}, are not "
                f"known; {_others(self.backbone, self.what)}"
            )
        return found

    def refuse(self, reason: str) -> UsageError:
        return UsageError(f"`train` is {self.what!r}, {reason}; {_others(self.backbone, self.what)}")


Part = nn.Module | nn.Parameter


def _head(request: _Request) -> Iterable[Part]:
    return ()


def _last_block(request: _Request) -> Iterable[Part]:
    return [request.blocks()[-1]]


def _norms(request: _Request) -> Iterable[Part]:
    """Return the norms of a transformer's blocks, as in LIFT, or those of a complete convolutional network."""
    within = [block.module for block in request.transformer()] or [request.backbone]
    return [norm for norm in innermost(within, NORMS) if any(True for _ in norm.parameters())]


def _biases(request: _Request) -> Iterable[Part]:
    within = [block.module for block in request.transformer()] or [request.backbone]
    return [p for module in within for name, p in module.named_parameters() if name.rpartition(".")[2] in BIASES]


BIASES = ("bias", "in_proj_bias", "q_bias", "v_bias")


def _norms_and_last_block(request: _Request) -> Iterable[Part]:
    return [*_norms(request), *_last_block(request)]


def _lora(request: _Request) -> Iterable[Part]:
    if found := request.transformer():
        for block in found:
            add_lora(*block.joint, request.size(len(found)), ("q", "", "v"))
        return ()
    blocks = request.blocks()
    layers = [layer for layer in innermost(blocks, (nn.Conv2d, nn.Linear)) if getattr(layer, "groups", 1) == 1]
    if not layers:
        raise request.refuse("but the blocks of the backbone have no linear layer, nor a convolution without groups")
    for layer in layers:
        add_lora(layer, "weight", request.size(len(blocks)))
    return ()


def _adapter(request: _Request) -> Iterable[Part]:
    if found := request.transformer():
        for block in found:
            add_adapter(block, request.size(len(found)))
        return ()
    blocks = request.blocks()
    for module, width in zip(blocks, _channels(request, blocks), strict=True):
        add_channel_adapter(module, width, request.size(len(blocks)))
    return ()


def _adaptformer(request: _Request) -> Iterable[Part]:
    found = request.transformer()
    if not found:
        raise request.refuse("which is for vision transformers of torchvision, timm and OpenCLIP")
    for block in found:
        add_adaptformer(block, request.size(len(found)))
    return ()


def _prompts(request: _Request) -> Iterable[Part]:
    found = request.transformer()
    if not found:
        raise request.refuse("which is for vision transformers of torchvision, timm and OpenCLIP")
    if any(block.prefix is None for block in found):
        raise request.refuse("but the attention of this backbone is built for one number of tokens")
    for block in found:
        add_prompts(block, request.size(len(found)))
    return ()


def _channels(request: _Request, blocks: list[nn.Module]) -> list[int]:
    """Return the channels of every block's output, by a forward pass of one small image; draws no random numbers."""
    backbone, found = request.backbone, dict.fromkeys(blocks, 0)

    def note(module: nn.Module, inputs: object, output: object) -> None:
        found[module] = output.shape[1] if isinstance(output, torch.Tensor) and output.dim() == 4 else 0

    hooks = [block.register_forward_hook(note) for block in blocks]
    modes = [(module, module.training) for module in backbone.modules()]
    backbone.eval()
    try:
        with torch.no_grad():
            backbone(next(backbone.parameters()).new_zeros(1, 3, PROBE, PROBE))
    except (RuntimeError, ValueError, AssertionError) as error:
        raise request.refuse("but the channels of this backbone's blocks cannot be determined") from error
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes:
            module.training = mode
    if not all(found.values()):
        raise request.refuse("but not every block of this backbone returns one feature map")
    return list(found.values())


def _others(backbone: Backbone, what: str) -> str:
    """Return which ways to train work on a backbone, as text."""
    transformer = transformer_blocks(backbone)
    fixed = any(block.prefix is None for block in transformer)
    never = {what} | (set() if transformer else TRANSFORMERS_ONLY) | ({"prompts"} if fixed else set())
    if not transformer and not blocks_of(backbone):
        never |= {"last_block", "norms_and_last_block", "lora", "adapter"}
    return f"here `train` can be {', '.join(name for name in TRAIN if name not in never)}."


TRAIN: Mapping[str, Callable[[_Request], Iterable[Part]]] = {
    ALL: lambda request: (),
    HEAD: _head,
    "last_block": _last_block,
    "norms": _norms,
    "biases": _biases,
    "norms_and_last_block": _norms_and_last_block,
    "lora": _lora,
    "adapter": _adapter,
    "adaptformer": _adaptformer,
    "prompts": _prompts,
}
"""The ways to train a backbone, by name; the modules that a method adds (its classifier) are always trained.

* `head`: nothing of the backbone.
* `norms`, `biases`: of a transformer's blocks, as in LIFT; of a complete convolutional network. Only with `norms` are
  BatchNorm's statistics updated.
* `norms_and_last_block`: PaCo's official code for a pretrained ResNet-152 on Places-LT.
* `lora`: of queries and values; of linear layers and convolutions without groups in a convolutional network's blocks.
* `adapter`: after the MLPs; after the blocks of a convolutional network.
* `adaptformer`, `prompts`: transformers only.
"""
