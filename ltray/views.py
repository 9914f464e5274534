"""`python -m ltray.views DATASET.yaml METHOD`: a contact sheet of a method's views.

One row per image, from the largest class to the smallest: the original, and every view of the
method's first stage with two random draws. The boxes of patches are drawn in the view from which they are cropped.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageOps
from torch import Tensor

from ltray.arguments import check_writable, name_or_path, path_argument
from ltray.captions import caption, width
from ltray.command import DONE, exit_with
from ltray.data.beton.left_out import usable
from ltray.data.beton.store import folder_of
from ltray.data.decoding import decode
from ltray.data.definition import DatasetDefinition
from ltray.data.encoding import Storage
from ltray.data.originals import Originals
from ltray.data.sources.lists import reference_counts
from ltray.data.sources.registry import open_source
from ltray.data.splits import Indices, cut
from ltray.data.views import EpochPosition, ViewMaker
from ltray.errors import UsageError
from ltray.files import reason
from ltray.long_tail import LongTail
from ltray.methods.find import find_method
from ltray.network import Network
from ltray.parser import Parser
from ltray.parts.backbones import new_backbone
from ltray.parts.heads import new_classifier
from ltray.printable import printable
from ltray.setting_names import complete_keys
from ltray.settings import parse_assignments
from ltray.stage import BuildContext, Method, Patches, View

ROWS, DRAWS = 8, 2
SMALLEST_CELL, GAP, MARGIN, TEXT = 96, 4, 110, 28  # pixels
WIDEST_TITLE = 300  # pixels
COLOURS = ("red", "lime", "blue", "yellow", "magenta", "cyan", "orange", "white")


def new_parser() -> Parser:
    """Return the command's argument parser."""
    parser = Parser("views", description=__doc__)
    parser.add_argument(
        "dataset", type=name_or_path, metavar="DATASET", help="a data-set file, or the name of a data set of ltray"
    )
    parser.add_argument("method", metavar="METHOD", help="method whose first stage's views are drawn")
    parser.add_argument("--output", type=path_argument, metavar="PNG", help="default: views-METHOD-DATASET.png")
    parser.add_settings("knobs, data-set fields and seed")
    return parser


def main(arguments: list[str]) -> int:
    """Write the sheet, print its path, return the exit code."""
    given = new_parser().parse(arguments)
    method = find_method(given.method)
    settings = complete_keys(parse_assignments(given.settings), [method.reference])
    definition = DatasetDefinition.read(given.dataset, _owned(settings, "dataset"))
    seed = settings.pop("seed", 0)
    knobs = _owned(settings, method.name)
    if settings:
        raise UsageError(f"`{next(iter(settings))}` has no effect on views.")
    output = given.output or Path(f"views-{method.name}-{definition.name}.png")
    check_writable(output, "--output")
    images, titles, tail = examples(definition)
    views = first_views(method, knobs, definition, tail)
    sheet = contact_sheet(images, titles, views, definition=definition, seed=seed)
    try:
        sheet.save(output, format="png")
    except OSError as error:
        raise UsageError(
            f"`--output {printable(output)}` cannot be written: {error.strerror}; use the path of a PNG file."
        ) from error
    named = ", ".join(f"{view.name} ({view.augmentation})" for view in views)
    print(f"{printable(output)}: {len(images)} images of {definition.name}; the views of {method.name} are {named}")
    return DONE


def _owned(settings: dict[str, Any], owner: str) -> dict[str, Any]:
    keys = [key for key in settings if key.startswith(f"{owner}.")]
    return {key.partition(".")[2]: settings.pop(key) for key in keys}


def examples(definition: DatasetDefinition) -> tuple[list[Tensor], list[str], LongTail]:
    """Return some training images, uint8 (1, 3, h, w), their titles, and the class counts."""
    source = open_source(definition)
    pools = usable(definition, source, folder_of(definition))
    labels = {name: np.asarray(pool.labels) for name, pool in pools.items()}
    splits = cut(definition, labels, len(source.class_names), reference_counts(definition, source.class_names))
    train, counts = splits.train, np.array(splits.tail.counts)
    by_size = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    images, titles = [], []
    for place in np.unique(np.linspace(0, len(by_size) - 1, ROWS).round().astype(int)):
        label = int(by_size[place])
        images.append(_first_readable(pools[train.pool], train.indices[train.labels == label], definition.storage))
        titles.append(f"{caption(source.class_names[label], widest=WIDEST_TITLE)}\n{counts[label]} images")
    return images, titles, splits.tail


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


def first_views(
    method: Method, knobs: Mapping[str, Any], definition: DatasetDefinition, tail: LongTail
) -> Sequence[View]:
    """Return the views of a method's first stage, built with untrained networks.

    Raises:
        UsageError: The stage trains on features, not on images.
    """

    def new_network(kind: str) -> Network:
        backbone = new_backbone("resnet32")
        return Network(backbone, new_classifier(kind, width=backbone.width, classes=tail.classes))

    # No classifier is started here, from text or otherwise.
    context = BuildContext(tail, new_network, new_network("linear"), definition.image_size, text_rows=_unused)
    stage = method.stages(method.knobs.resolve(definition.profile, knobs), context)[0]
    if stage.source == "features":
        raise UsageError(f"`{method.name}` trains on features of a frozen network: it has no views of images.")
    return stage.views


def _unused(names: Sequence[str]) -> Tensor:
    raise TypeError("A contact sheet starts no classifier.")


def contact_sheet(
    images: Sequence[Tensor], titles: Sequence[str], views: Sequence[View], *, definition: DatasetDefinition, seed: int
) -> Image.Image:
    """Return the sheet.

    Args:
        images: Stored images, uint8 (1, 3, h, w) each.
        titles: The title of each.
        views: The views to draw.
        definition: Image size, normalisation, flip.
        seed: Seed of the draws.
    """
    maker = ViewMaker(views, definition, seed)
    cell = definition.image_size * math.ceil(SMALLEST_CELL / definition.image_size)
    rows = []
    for number, image in enumerate(images):
        row = [_picture(image[0], cell)]
        for draw in range(DRAWS):
            made, boxes = maker.of_images(image[:, None], EpochPosition(draw, torch.tensor([number])))
            row += _cells(made, boxes, views, definition=definition, cell=cell)
        rows.append(row)
    headings = ["original", *[heading for _ in range(DRAWS) for heading in _headings(views)]]
    return _arranged(rows, titles, headings, cell)


def _headings(views: Sequence[View]) -> list[str]:
    return [
        f"{view.name}\n{view.augmentation}"
        for view in views
        for _ in range(view.count if isinstance(view, Patches) else 1)
    ]


def _cells(
    made: Mapping[str, Tensor],
    boxes: Tensor | None,
    views: Sequence[View],
    *,
    definition: DatasetDefinition,
    cell: int,
) -> list[Image.Image]:
    """Return the images of one image's views, for one draw."""
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


def _arranged(
    rows: Sequence[Sequence[Image.Image]], titles: Sequence[str], headings: Sequence[str], cell: int
) -> Image.Image:
    step = cell + GAP
    left = max(MARGIN, *(width(line) + 2 * GAP for title in titles for line in title.split("\n")))
    sheet = Image.new("RGB", (left + step * len(headings), TEXT + step * len(rows)), "white")
    pencil = ImageDraw.Draw(sheet)
    for column, heading in enumerate(headings):
        pencil.multiline_text((left + step * column, 2), heading, fill="black", spacing=1)
    for line, (title, row) in enumerate(zip(titles, rows, strict=True)):
        pencil.multiline_text((4, TEXT + step * line + 4), title, fill="black")
        for column, picture in enumerate(row):
            sheet.paste(picture, (left + step * column, TEXT + step * line))
    return sheet


if __name__ == "__main__":
    exit_with(main)
