"""The images that pretrained weights expect, adopted by a data set."""

from collections.abc import Collection

from ltray.data.definition import DatasetDefinition
from ltray.errors import UsageError
from ltray.parts.published import InputSettings

SAME = 1e-3  # means and deviations of one data set are published with three digits or more


def adopted(
    dataset: DatasetDefinition, images: InputSettings, explicit: Collection[str], *, weights: str
) -> DatasetDefinition:
    """Return a data set whose images have the form that some weights expect.

    Mean, standard deviation and size in a data-set file describe its images; in the settings of a run
    (`dataset.mean`) they describe the network's input.

    Args:
        dataset: The data set.
        images: The images that the weights expect.
        explicit: Names of the fields that are set in the run's settings.
        weights: Name of the weights, for the error.

    Raises:
        UsageError: A value that is set differs.
    """
    for name in ("mean", "std"):
        ours, theirs = getattr(dataset, name), getattr(images, name)
        if name in explicit and any(abs(a - b) > SAME for a, b in zip(ours, theirs, strict=True)):
            raise UsageError(
                f"`dataset.{name}` is {list(ours)}, but the weights {weights} expect {list(theirs)}: remove "
                f"`dataset.{name}`. (If a file of weights was trained with other values, write them into a config.json "
                "next to it, in timm's format.)"
            )
    size = images.image_size
    if "image_size" in explicit:
        if images.only_size and dataset.image_size != size:
            raise UsageError(
                f"`dataset.image_size` is {dataset.image_size}, but the weights {weights} are only for images of "
                f"{size} pixels: remove `dataset.image_size`."
            )
        size = dataset.image_size
    return dataset.replace(mean=images.mean, std=images.std, image_size=size)
