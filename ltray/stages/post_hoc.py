"""Stages without training: the values they set are computed once from the validation images."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import nn

from ltray.knobs import Above, Knob
from ltray.network import Network
from ltray.recipe import Recipe
from ltray.stage import BuildContext, Stage

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
    """A new classifier on the backbone of the preceding network; `prepare` sets its values.

    Args:
        knobs: Without epochs.
        context: `start` is the network to continue from; its modules are shared.
        classifier: Maps features (B, d) to scores (B, K).
    """

    def __init__(self, knobs: PostHocKnobs, context: BuildContext, classifier: nn.Module) -> None:
        super().__init__(knobs)
        start = context.continued()
        self.original = start.classifier
        self.network = Network(start.backbone, classifier)

    def trained(self) -> Sequence[nn.Module]:
        """Train nothing."""
        return []
