"""The tensors of a file that belong to a backbone, also inside the model of a training script.

A network is found by its parameters' names: `module.encoder_q.layer1.0.conv1.weight` belongs to a backbone with
`layer1.0.conv1.weight` after the prefix `module.encoder_q`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from torch import Tensor, nn

State = Mapping[str, Tensor]
Rename = Callable[[State, nn.Module], State]

HEADS = (
    "fc",
    "head",
    "heads",
    "classifier",
    "linear",
    "head_fc",
    "proj",
    "projector",
    "projection",
    "head_dist",
    "_fc",
)
"""First parts of the names of modules after the backbone, which are not loaded."""
PREFERRED = ("state_dict_ema", "model_ema", "ema", "teacher", "encoder_q", "base_encoder", "feat_model")
"""Words of the prefix that is preferred if several networks fit: averaged weights, and queries before keys."""
ANCHORS = 5  # parameter names, distributed over the network, that are used to find prefixes


@dataclass(frozen=True)
class Fit:
    """The content of a file for a backbone.

    Attributes:
        state: The tensors to load.
        prefix: The text before their names in the file, with the dot.
        missing: Names that the backbone needs but that are not in the file, or have another shape there.
        unknown: Names of the same network that the backbone does not have.
        left_over: Names of other parts, such as a classifier, a key encoder or a queue.
        equals: Prefixes of other networks that fit equally well, without a rule that prefers one.
    """

    state: State
    prefix: str
    missing: Sequence[str]
    unknown: Sequence[str]
    left_over: Sequence[str]
    equals: Sequence[str] = ()

    @property
    def is_complete(self) -> bool:
        """Whether every parameter is in the file and no name of the network is unknown."""
        return not self.missing and not self.unknown

    def left_over_parts(self) -> str:
        """Return what is not loaded, by the first part of the name: "fc (2 tensors), encoder_k (161 tensors)"."""
        parts = sorted(_part(name, self.prefix) for name in self.left_over)
        counts = [(part, len(list(names))) for part, names in groupby(parts)]
        return ", ".join(f"{part} ({count} tensor{'s' * (count > 1)})" for part, count in counts)


def fit(found: State, module: nn.Module, renames: Sequence[Rename] = ()) -> Fit:
    """Return the tensors of a file that belong to a network.

    Args:
        found: Every tensor of the file, by dotted path.
        module: The network; its parameters may be on the "meta" device.
        renames: Translations of other layouts, tried in order if the original names do not fit.

    Returns:
        The first complete fit, or that of the original names.
    """
    plain = _fit(found, module)
    if plain.is_complete:
        return plain
    for rename in (efficientnet_pytorch, *renames):
        translated = rename(_innermost(found), module)
        if translated and (other := _fit(translated, module)).is_complete:
            return other
    return plain


def _fit(found: State, module: nn.Module) -> Fit:
    wanted = module.state_dict()
    ranks = {prefix: _rank(prefix, found, wanted) for prefix in _prefixes(found, wanted)}
    prefix = max(ranks, key=lambda one: (*ranks[one], one))
    equals = [one for one in sorted(ranks) if one != prefix and ranks[one] == ranks[prefix] and ranks[one][0]]
    own = {name.removeprefix(prefix): tensor for name, tensor in found.items() if name.startswith(prefix)}
    counters = {name for name in wanted if name.endswith("num_batches_tracked")}  # old files have none of them
    state = {name: own[name] for name in wanted if name in own and own[name].shape == wanted[name].shape}
    state |= {name: tensor for name, tensor in wanted.items() if name in counters and name not in own}
    others = [name for name in own if name not in wanted]
    heads = {name for name in others if name.partition(".")[0] in HEADS}
    outside = [name for name in found if not name.startswith(prefix)]
    return Fit(
        state,
        prefix,
        missing=[name for name in wanted if name not in state],
        unknown=[name for name in others if name not in heads],
        left_over=[*(prefix + name for name in others if name in heads), *outside],
        equals=equals,
    )


def _prefixes(found: State, wanted: State) -> set[str]:
    names = list(wanted)
    anchors = names[:: max(len(names) // ANCHORS, 1)]
    ends = {name[: -len(anchor)] for anchor in anchors for name in found if name.endswith(anchor)}
    return {prefix for prefix in ends if not prefix or prefix.endswith(".")} | {""}


def _rank(prefix: str, found: State, wanted: State) -> tuple[int, int]:
    """Return the order of prefixes: by the number of tensors that fit, then by the preferred word."""
    fitting = sum(
        1 for name in wanted if (tensor := found.get(prefix + name)) is not None and tensor.shape == wanted[name].shape
    )
    parts = prefix.split(".")
    preference = max((len(PREFERRED) - PREFERRED.index(word) for word in parts if word in PREFERRED), default=0)
    return fitting, preference


def _part(name: str, prefix: str) -> str:
    """Return the first word of a name that differs from the names of the network."""
    parts, before = name.split("."), prefix.split(".")
    shared = next((place for place, word in enumerate(before) if parts[place : place + 1] != [word]), len(before))
    return next((word for word in parts[shared:] if word != "module"), parts[-1])


def _innermost(found: State) -> State:
    """Return the tensors without the common prefix of all their names, and without `module.`."""
    names = list(found)
    while names and all("." in name for name in names) and len({name.partition(".")[0] for name in names}) == 1:
        names = [name.partition(".")[2] for name in names]
    return dict(zip((name.removeprefix("module.") for name in names), found.values(), strict=True))


_OWN_NAMES = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_SEPARABLE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_INVERTED = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_SQUEEZE = {"_se_reduce": "se.conv_reduce", "_se_expand": "se.conv_expand"}


def efficientnet_pytorch(found: State, module: nn.Module) -> State:
    """Translate the names of EfficientNets of the package efficientnet_pytorch into timm's; {} for other networks."""
    if "_conv_stem.weight" not in found:
        return {}
    blocks = _blocks(module)
    translated: dict[str, Tensor] = {}
    for name, tensor in found.items():
        inside = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)
        if inside and int(inside[1]) < len(blocks):
            place, inverted = blocks[int(inside[1])]
            part = ((_INVERTED if inverted else _SEPARABLE) | _SQUEEZE).get(inside[2], inside[2])
            translated[f"{place}.{part}.{inside[3]}"] = tensor
        else:
            first, _, rest = name.partition(".")
            translated[f"{_OWN_NAMES.get(first, first)}.{rest}"] = tensor
    return translated


def _blocks(module: nn.Module) -> list[tuple[str, bool]]:
    """Return the names of an EfficientNet's blocks in order, each with whether it expands first."""
    blocks = [(name, one) for name, one in module.named_modules() if re.fullmatch(r"blocks\.\d+\.\d+", name)]
    return [(name, hasattr(block, "conv_pwl")) for name, block in blocks]
