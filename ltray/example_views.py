"""Training images of classes of different sizes, and the views of them that a method's first stage is trained on."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageOps
from torch import Tensor

from ltray.data.beton.left_out import usable
from ltray.data.beton.store import folder_of
from ltray.data.decoding import decode
from ltray.data.definition import DatasetDefinition
from ltray.data.encoding import Storage
from ltray.data.originals import Originals, Source
from ltray.data.sources.lists import reference_counts
from ltray.data.splits import Indices, Splits, cut
from ltray.data.views import EpochPosition, ViewMaker
from ltray.errors import UsageError
from ltray.files import reason
from ltray.long_tail import LongTail
from ltray.network import Network
from ltray.parts.backbones import new_backbone
from ltray.parts.heads import new_classifier
from ltray.recipe import Recipe
from ltray.stage import BuildContext, Method, Patches, View

SMALLEST_CELL = 96  # pixels
COLOURS = ("red", "lime", "blue", "yellow", "magenta", "cyan", "orange", "white")


@dataclass(frozen=True)
class OriginalImages:
    """The original images of a data set, divided as for a run.

    Attributes:
        definition: The data set.
        class_names: Names in label order.
        pools: The images, without those that a conversion left out.
        splits: Training, validation and test images.
    """

    definition: DatasetDefinition
    class_names: tuple[str, ...]
    pools: Mapping[str, Originals]
    splits: Splits

    @classmethod
    def of(cls, definition: DatasetDefinition, source: Source) -> "OriginalImages":
        """Divide the images of a source; no pixels are read."""
        pools = usable(definition, source, folder_of(definition))
        labels = {name: np.asarray(pool.labels) for name, pool in pools.items()}
        reference = reference_counts(definition, source.class_names)
        return cls(definition, source.class_names, pools, cut(definition, labels, len(source.class_names), reference))

    def examples(self, rows: int) -> list[tuple[int, Tensor]]:
        """Return label and stored image, uint8 (1, 3, h, w), of up to `rows` classes, the largest first.

        Raises:
            UsageError: A class has no readable image.
        """
        train, found = self.splits.train, []
        for label in classes_of_all_sizes(self.splits.tail, rows):
            own = train.indices[train.labels == label]
            found.append((label, _first_readable(self.pools[train.pool], own, self.definition.storage)))
        return found


def classes_of_all_sizes(tail: LongTail, rows: int) -> list[int]:
    """Return up to `rows` classes with training images, the largest first, at equal distances in this order."""
    counts = np.array(tail.counts)
    by_size = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    places = np.unique(np.linspace(0, len(by_size) - 1, rows).round().astype(int))
    return [int(label) for label in by_size[places]]


def _first_readable(originals: Originals, indices: Indices, storage: Storage) -> Tensor:
    """Return the first usable image of a class in its stored form, uint8 (1, 3, h, w)."""
    for index in indices.tolist():
        try:
            pixels = storage.fit(decode(originals.read(index), longest=storage.cap).pixels)
        except (OSError, ValueError) as error:
            said = f"{originals.name(index)}: {reason(error)}"
            continue
        return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].contiguous()
    raise UsageError(f"No image of any class can be read; the last error is: {said}.")


def first_views(method: Method, recipe: Recipe, definition: DatasetDefinition, tail: LongTail) -> Sequence[View]:
    """Return the views of a method's first stage, built with untrained networks.

    Raises:
        UsageError: The stage trains on features, not on images.
    """

    def new_network(kind: str) -> Network:
        backbone = new_backbone("resnet32")
        return Network(backbone, new_classifier(kind, width=backbone.width, classes=tail.classes))

    # No classifier is started here, from text or otherwise.
    context = BuildContext(tail, new_network, new_network("linear"), definition.image_size, text_rows=_Unused())
    stage = method.stages(recipe, context)[0]
    if stage.source == "features":
        raise UsageError(f"`{method.name}` trains on features of a frozen network: it has no views of images.")
    return stage.views


class _Unused:
    """The text tower where no classifier is started."""

    def __call__(self, class_names: Sequence[str]) -> Tensor:
        raise TypeError("A contact sheet starts no classifier.")

    def check(self, class_names: Sequence[str]) -> None:
        self(class_names)


def picture_rows(
    images: Sequence[Tensor], views: Sequence[View], *, definition: DatasetDefinition, seed: int, draws: int
) -> Iterator[list[Image.Image]]:
    """Yield a row of square pictures for each image: the original, then all views of each draw.

    Args:
        images: Stored images, uint8 (1, 3, h, w) each.
        views: The views.
        definition: Image size, normalisation, flip.
        seed: Seed of the draws.
        draws: Number of draws.
    """
    maker = ViewMaker(views, definition, seed)
    cell = cell_of(definition)
    for number, image in enumerate(images):
        row = [_picture(image[0], cell)]
        for draw in range(draws):
            made, boxes = maker.of_images(image[:, None], EpochPosition(draw, torch.tensor([number])))
            row += cells_of(made, boxes, views, definition=definition, cell=cell)
        yield row


def cell_of(definition: DatasetDefinition) -> int:
    """Return the side of a picture in pixels: a multiple of the image size."""
    return definition.image_size * math.ceil(SMALLEST_CELL / definition.image_size)


def headings(views: Sequence[View]) -> list[str]:
    """Return the names of the pictures of one draw: name and augmentation of each view."""
    return [
        f"{view.name}\n{view.augmentation}"
        for view in views
        for _ in range(view.count if isinstance(view, Patches) else 1)
    ]


def cells_of(
    made: Mapping[str, Tensor],
    boxes: Tensor | None,
    views: Sequence[View],
    *,
    definition: DatasetDefinition,
    cell: int,
) -> list[Image.Image]:
    """Return the pictures of one image's views, for one draw.

    Args:
        made: Normalised views of one image (1, 3, H, W), or patches (1, L, 3, h, w), by name.
        boxes: The boxes of patches (1, L, 4), drawn in the view from which they are cropped; None: there are none.
        views: The views, in the order of the pictures.
        definition: Image size, normalisation.
        cell: Side of a picture in pixels.
    """
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (definition.mean, definition.std))
    boxed = {view.of for view in views if isinstance(view, Patches)}
    pictures = []
    for view in views:
        shown = ((made[view.name][0] * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)
        cells = [_picture(each, cell) for each in (shown if isinstance(view, Patches) else shown[None])]
        if view.name in boxed and boxes is not None:
            pencil = ImageDraw.Draw(cells[0])
            for place, box in enumerate((boxes[0] * cell / definition.image_size).tolist()):
                pencil.rectangle(box, outline=COLOURS[place % len(COLOURS)])
        pictures += cells
    return pictures


def _picture(image: Tensor, cell: int) -> Image.Image:
    """Return uint8 (3, h, w) in the size of a cell, enlarged without smoothing if it is smaller."""
    picture = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
    method = Image.Resampling.NEAREST if max(picture.size) <= cell else Image.Resampling.BILINEAR
    return ImageOps.pad(picture, (cell, cell), method=method, color="white")
