"""Stages that train on features of a frozen backbone, which are computed once for all epochs and trials."""

from collections.abc import Sequence

from ltray.errors import UsageError
from ltray.network import Backbone, Network
from ltray.parts.fine_tuning import Trained
from ltray.stage import Stage


def is_frozen(backbone: Backbone) -> bool:
    """Return whether a backbone does not change in training: neither its parameters nor the statistics of its norms."""
    return getattr(backbone, "tuned", None) == Trained()


def read_features(method: str, stages: Sequence[Stage]) -> None:
    """Set the stages whose recipe states `feature_passes` to train on features instead of images.

    Args:
        method: Their method, for messages.
        stages: As the method built them. A stage reads its one view by name in both cases, and its network takes
            features in place of images.

    Raises:
        UsageError: The features are not the same in every epoch.
    """
    for stage in stages:
        recipe = stage.recipe
        if stage.source == "images" and recipe.feature_passes and recipe.has_effect("feature_passes"):
            _check(method, stage)
            stage.source, stage.feature_passes = "features", recipe.feature_passes


def _check(method: str, stage: Stage) -> None:
    recipe, backbone = stage.recipe, stage.network.backbone
    refused = f"`{method}.feature_passes` must be 0, but got {recipe.feature_passes}"
    if not is_frozen(backbone):
        raise UsageError(
            f"{refused}: the backbone is trained, so that its features change; set train=head to freeze it."
        )
    for name in ("mixup", "cutmix"):
        if getattr(recipe, name):
            raise UsageError(f"{refused}: {name} blends images; set {name}=0 to train on features.")
    if any(view.smallest_areas for view in stage.views):
        raise UsageError(f"{refused}: the crops change from epoch to epoch; set another augmentation.")
    augmentation = getattr(recipe, "augmentation", "")
    if recipe.feature_passes == 1 and augmentation != getattr(type(recipe), "augmentation", ""):
        raise UsageError(
            f"`{method}.augmentation` has no effect with feature_passes=1, but got {augmentation!r}: features of one "
            "pass are those of images without augmentation. Set feature_passes to the number of augmented passes."
        )


def evaluates_features(stage: Stage) -> bool:
    """Return whether a stage's evaluation during training can read the features of the selection images."""
    return (
        stage.source == "features"
        and type(stage).logits is Stage.logits
        and stage.feature_network() is stage.network.backbone
        and type(stage.network).forward is Network.forward
    )
