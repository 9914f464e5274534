"""Stages without training: the values they set are computed once from the validation images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import nn

from ltray.knobs import Above, Knob
from ltray.network import Network
from ltray.recipe import Recipe
from ltray.stage import BuildContext, Stage, TrainingData

ROWS = 4096  # images at a time: float64 scores of 8,142 classes stay below 300 MB


@dataclass(frozen=True)
class PostHocKnobs(Recipe):
    """A recipe without epochs."""

    epochs: int = Recipe.redeclared("epochs", 0, help="nothing is trained", high=0, follows=None)
    warmup_epochs: int = Recipe.redeclared("warmup_epochs", 0, help="nothing is trained", high=0, at_most=None)
    milestones: tuple[int, ...] = Recipe.redeclared(
        "milestones", (), help="nothing is trained", needs=None, follows=None
    )

    layer_decay: float = Recipe.redeclared("layer_decay", 1.0, refused="nothing is trained")
    drop_path: float = Recipe.redeclared("drop_path", 0.0, refused="nothing is trained")
    feature_passes: int = Recipe.redeclared("feature_passes", 0, refused="nothing is trained")

    @classmethod
    def specs(cls) -> dict[str, Knob]:
        """Return the declarations; those of every recipe have no effect."""
        trained = ("epochs", Above(0.0))
        return {
            name: replace(spec, needs=trained) if name in Recipe.specs() and name != "epochs" else spec
            for name, spec in super().specs().items()
        }


class PostHoc(Stage):
    """A new classifier on the backbone of the preceding network, with one value that is chosen on validation images.

    Args:
        knobs: Without epochs.
        context: `start` is the network to continue from; its modules are shared.
        classifier: Maps features (B, d) to scores (B, K).

    Attributes:
        symbol: The symbol of the value, such as "τ".
    """

    symbol: ClassVar[str]

    def __init__(self, knobs: PostHocKnobs, context: BuildContext, classifier: nn.Module) -> None:
        super().__init__(knobs)
        start = context.continued()
        self.original = start.classifier
        self.network = Network(start.backbone, classifier)

    def trained(self) -> Sequence[nn.Module]:
        """Train nothing."""
        return []

    def prepare(self, data: TrainingData) -> None:
        """Choose the value and set it."""
        self.set_value(self.choose(data))

    def adopt(self, chosen: Mapping[str, float]) -> None:
        """Set the mean of the values that the folds of a cross-validation chose."""
        self.set_value(chosen[self.symbol])

    def choose(self, data: TrainingData) -> float:
        """Return the value that is best on the validation images."""
        raise TypeError(f"{type(self).__name__} must define choose(data).")

    def set_value(self, value: float) -> None:
        """Write the classifier of a value."""
        raise TypeError(f"{type(self).__name__} must define set_value(value).")
