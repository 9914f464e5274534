"""The blocks of a backbone, and the parts of a transformer's blocks to which fine-tuning modules are attached."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from torch import nn

from ltray.network import Backbone

CONTAINERS = (nn.Sequential, nn.ModuleList)


@dataclass(frozen=True)
class TransformerBlock:
    """A block a = x + attention(norm x), y = a + mlp(norm a).

    Attributes:
        module: The block; the first argument of its forward pass is its tokens (B, n, D).
        second_norm: Name of the norm before its MLP.
        joint: The module and the name of its parameter (3D, D) that computes queries, keys and values.
        width: Width of its tokens, D.
        prefix: Number of tokens before those of the patches; None if its attention depends on the number of tokens.
    """

    module: nn.Module
    second_norm: str
    joint: tuple[nn.Module, str]
    width: int
    prefix: int | None

    @property
    def mlp(self) -> nn.Module:
        """Its MLP."""
        return self.module.get_submodule("mlp")


def blocks_of(module: nn.Module) -> list[nn.Module]:
    """Return the blocks of a network in order: the innermost composite modules of its sequences of modules."""
    return [block for child in module.children() for block in _blocks(child, listed=isinstance(module, CONTAINERS))]


def _blocks(module: nn.Module, *, listed: bool) -> list[nn.Module]:
    inner = blocks_of(module)
    composite = not isinstance(module, CONTAINERS) and any(True for _ in module.children())
    return inner or ([module] if listed and composite and any(True for _ in module.parameters()) else [])


def transformer_blocks(backbone: Backbone) -> list[TransformerBlock]:
    """Return the blocks of a vision transformer of torchvision, timm or OpenCLIP; [] for any other network."""
    found = [block for module in backbone.modules() if (block := _as_transformer(module)) is not None]
    body = getattr(backbone, "body", backbone)
    prefix = int(getattr(body, "num_prefix_tokens", 1))
    fixed = any(block.prefix is None for block in found)
    return [TransformerBlock(b.module, b.second_norm, b.joint, b.width, None if fixed else prefix) for b in found]


def _as_transformer(module: nn.Module) -> TransformerBlock | None:
    read = KINDS.get((type(module).__module__, type(module).__name__))
    return read(module) if read else None


def _fused(module: nn.Module, *, any_tokens: bool) -> TransformerBlock | None:
    joint = getattr(module.get_submodule("attn"), "qkv", None)
    if not isinstance(joint, nn.Linear):
        return None
    return TransformerBlock(module, "norm2", (joint, "weight"), joint.in_features, 0 if any_tokens else None)


def _multi_head(module: nn.Module, *, attention: str, norm: str) -> TransformerBlock:
    inner = module.get_submodule(attention)
    assert isinstance(inner, nn.MultiheadAttention)
    return TransformerBlock(module, norm, (inner, "in_proj_weight"), inner.embed_dim, 0)


KINDS: Mapping[tuple[str, str], Callable[[nn.Module], TransformerBlock | None]] = {
    ("timm.models.vision_transformer", "Block"): partial(_fused, any_tokens=True),
    ("timm.models.beit", "Block"): partial(_fused, any_tokens=False),
    ("timm.models.swin_transformer", "SwinTransformerBlock"): partial(_fused, any_tokens=False),
    ("torchvision.models.vision_transformer", "EncoderBlock"): partial(
        _multi_head, attention="self_attention", norm="ln_2"
    ),
    ("open_clip.transformer", "ResidualAttentionBlock"): partial(_multi_head, attention="attn", norm="ln_2"),
}
"""Classes of blocks of this form, by module and name; similar classes have their norms at other places."""


def innermost(modules: Sequence[nn.Module], kind: type[nn.Module] | tuple[type[nn.Module], ...]) -> list[nn.Module]:
    """Return the modules of some types inside some modules, each once, in order."""
    return list(dict.fromkeys(inner for module in modules for inner in module.modules() if isinstance(inner, kind)))
