"""The knobs of a recipe that apply inside the backbone: learning rates by layer, and stochastic depth."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from ltray.engine.train_step import set_training_mode
from ltray.errors import UsageError
from ltray.network import Backbone
from ltray.parts.drop_path import branches, set_drop_path
from ltray.parts.layer_scales import layer_scales
from ltray.recipe import Recipe
from ltray.stage import Stage


def backbones_of(stage: Stage) -> list[Backbone]:
    """Return the backbones in a stage, each once."""
    return [module for module in stage.modules() if isinstance(module, Backbone)]


def by_layer(stage: Stage, groups: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the optimizer's groups, divided so that each has one learning rate by `layer_decay`.

    Args:
        stage: Its recipe and its backbones.
        groups: Its parameter groups; a `lr_scale` of their own is multiplied.
    """
    decay = stage.recipe.layer_decay
    if decay == 1.0:
        return list(groups)
    scales = {
        parameter: s for backbone in backbones_of(stage) for parameter, s in layer_scales(backbone, decay).items()
    }
    return [part for group in groups for part in _divided(group, scales)]


def _divided(group: dict[str, Any], scales: Mapping[nn.Parameter, float]) -> list[dict[str, Any]]:
    layers: dict[float, list[nn.Parameter]] = {}
    for parameter in group["params"]:
        layers.setdefault(scales.get(parameter, 1.0), []).append(parameter)
    own = float(group.get("lr_scale", 1.0))
    return [group | {"params": params, "lr_scale": own * scale} for scale, params in layers.items()]


def apply_drop_path(stage: Stage) -> None:
    """Set the stochastic depth of a stage's backbones to what its recipe states."""
    for backbone in backbones_of(stage):
        set_drop_path(backbone, stage.recipe.drop_path)


def check_backbone_knobs(method: str, stages: Sequence[Stage]) -> None:
    """Check that `layer_decay` and `drop_path` have an effect in a stage of a method.

    Raises:
        UsageError: One has none, with the reason.
    """
    for check in CHECKS:
        asked = [stage for stage in stages if getattr(stage.recipe, check.name) != getattr(Recipe, check.name)]
        if asked and not any(_trains(stage, check) for stage in asked):
            stage = asked[0]
            known = any(check.places(backbone) for backbone in backbones_of(stage))
            network = type(stage.network.backbone.loadable).__name__
            reason = "no block of the backbone is trained (`train`)" if known else f"{network} has no {check.what}"
            raise UsageError(
                f"`{method}.{check.name}` has no effect: {reason}, but got {getattr(stage.recipe, check.name):g}. "
                "Remove the setting."
            )


@dataclass(frozen=True)
class _Check:
    """The parts of a backbone to which a knob applies.

    Attributes:
        name: The knob.
        what: The parts, as text.
        places: Returns the parts.
        trains: Whether any of it trains.
    """

    name: str
    what: str
    places: Callable[[Backbone], Collection[object]]
    trains: Callable[[Backbone], bool]


CHECKS = (
    _Check(
        "layer_decay",
        "blocks that are known",
        lambda backbone: layer_scales(backbone, 0.5),
        lambda backbone: any(p.requires_grad and scale < 1.0 for p, scale in layer_scales(backbone, 0.5).items()),
    ),
    _Check("drop_path", "stochastic depth", branches, lambda backbone: any(one.training for one in branches(backbone))),
)


def _trains(stage: Stage, check: _Check) -> bool:
    set_training_mode(stage)
    found = any(check.trains(backbone) for backbone in backbones_of(stage))
    stage.eval()
    return found
