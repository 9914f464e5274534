"""The optimizers by name, and the object that updates the weights of a stage."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ltray.engine.backbone_knobs import by_layer
from ltray.engine.checkpoint import Checkpoint
from ltray.engine.ema import WeightAverage
from ltray.errors import chosen
from ltray.recipe import Recipe
from ltray.stage import Stage

# Kinds of devices on which all weights are updated in one kernel. A CPU gains nothing measurable by it, and its results
# would differ from those of earlier versions in their last digits.
FUSED_ON = ("cuda",)


def _can_fuse(groups: list[dict[str, Any]]) -> bool:
    return all(parameter.device.type in FUSED_ON for group in groups for parameter in group["params"])


def sgd(groups: list[dict[str, Any]], recipe: Recipe) -> Optimizer:
    """Build SGD with momentum, which every paper here uses."""
    return torch.optim.SGD(
        groups,
        fused=_can_fuse(groups),
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.nesterov and recipe.momentum > 0.0,  # Nesterov needs momentum
    )


def adam(groups: list[dict[str, Any]], recipe: Recipe) -> Optimizer:
    """Build Adam; weight decay is added to the gradient."""
    return torch.optim.Adam(groups, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=_can_fuse(groups))


def adamw(groups: list[dict[str, Any]], recipe: Recipe) -> Optimizer:
    """Build AdamW; weight decay, times the learning rate, is subtracted from the weights."""
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=_can_fuse(groups))


def lamb(groups: list[dict[str, Any]], recipe: Recipe) -> Optimizer:
    """Build timm's LAMB, with its own limit of the gradients' norm off: `clip_norm` is the recipe's."""
    from timm.optim import Lamb

    built: Optimizer = Lamb(groups, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, max_grad_norm=None)
    return built


OPTIMIZERS: Mapping[str, Callable[[list[dict[str, Any]], Recipe], Optimizer]] = {
    "sgd": sgd,
    "adamw": adamw,
    "adam": adam,
    "lamb": lamb,
}
"""Builders of an optimizer from parameter groups and a recipe, by the name in `Stage.optimizer`."""


def new_optimizer(stage: Stage) -> Optimizer | None:
    """Build the stage's optimizer over its parameter groups; None for a stage without epochs.

    Raises:
        UsageError: No optimizer has the stage's name.
    """
    if stage.recipe.epochs == 0:
        return None
    build = chosen(stage.optimizer, OPTIMIZERS, f"an optimizer (`optimizer` of {type(stage).__name__})")
    groups = [group | {"params": list(group["params"])} for group in by_layer(stage, stage.parameter_groups())]
    if not stage.recipe.decay_norms:
        groups = [part for group in groups for part in _without_decay_of_vectors(group)]
    return build(groups, stage.recipe)


def _without_decay_of_vectors(group: dict[str, Any]) -> list[dict[str, Any]]:
    """Split a group in two; the second (norms and biases) has no weight decay. Empty groups are left out."""
    parameters = list(group["params"])
    matrices = group | {"params": [parameter for parameter in parameters if parameter.dim() > 1]}
    vectors = group | {"params": [parameter for parameter in parameters if parameter.dim() <= 1], "weight_decay": 0.0}
    return [part for part in (matrices, vectors) if part["params"]]


def _load(optimizer: Optimizer, saved: Mapping[str, Any]) -> None:
    """Load an optimizer's state (momentum) but not its settings, which population-based training may change.

    Args:
        optimizer: Freshly built, with the run's own settings.
        saved: The `state_dict` of one that was built over the same parameters.
    """
    own = [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]
    groups = [group | settings for group, settings in zip(saved["param_groups"], own, strict=True)]
    optimizer.load_state_dict({**saved, "param_groups": groups})


@dataclass(frozen=True)
class Optimization:
    """The optimizer of a stage's weights, and their moving average.

    Attributes:
        optimizer: None for a stage without epochs.
        average: The moving average of the weights; None if it is off.
    """

    optimizer: Optimizer | None
    average: WeightAverage | None

    @classmethod
    def of(cls, stage: Stage) -> "Optimization":
        """Return the updater of a stage, before its first step.

        Args:
            stage: In training mode, as `set_training_mode` leaves it.
        """
        optimizer, decay = new_optimizer(stage), stage.recipe.average_decay
        return cls(optimizer, WeightAverage(stage, decay) if optimizer and decay else None)

    def state(self, everything: nn.Module) -> tuple[Mapping[str, Any], Mapping[str, Tensor]]:
        """Return the optimizer's `state_dict` and the average, each empty where there is none.

        Args:
            everything: The module whose `state_dict` names the averaged tensors.
        """
        optimizer, average = self.optimizer, self.average
        return optimizer.state_dict() if optimizer else {}, average.state(everything) if average else {}

    def load(self, saved: Checkpoint, everything: nn.Module) -> None:
        """Load what `state` returned, from a checkpoint of the same stage."""
        if self.optimizer:
            _load(self.optimizer, saved.optimizer)
        if self.average:
            self.average.load(saved.average, everything)
