"""`python -m ltray.views DATASET.yaml METHOD`: a contact sheet of a method's views.

One row per image, from the largest class to the smallest: the original, and every view of the
method's first stage with two random draws. The boxes of patches are drawn in the view from which they are cropped.
"""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from torch import Tensor

from ltray.arguments import check_writable, name_or_path, path_argument
from ltray.command import DONE, exit_with
from ltray.contact_sheet import DRAWS, ROWS, arranged, row_titles
from ltray.data.definition import DatasetDefinition
from ltray.data.sources.registry import open_source
from ltray.errors import UsageError
from ltray.example_views import OriginalImages, cell_of, first_views, headings, picture_rows
from ltray.methods.find import find_method
from ltray.parser import Parser
from ltray.printable import printable
from ltray.setting_names import complete_keys
from ltray.settings import parse_assignments, take_owned
from ltray.stage import View


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
    definition = DatasetDefinition.read(given.dataset, take_owned(settings, "dataset"))
    seed = settings.pop("seed", 0)
    knobs = take_owned(settings, method.name)
    if settings:
        raise UsageError(f"`{next(iter(settings))}` has no effect on views.")
    output = given.output or Path(f"views-{method.name}-{definition.name}.png")
    check_writable(output, "--output")
    originals = OriginalImages.of(definition, open_source(definition))
    labels, images = zip(*originals.examples(ROWS), strict=True)
    titles = row_titles(labels, originals.class_names, originals.splits.tail)
    recipe = method.knobs.resolve(definition.profile, knobs)
    views = first_views(method, recipe, definition, originals.splits.tail)
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
    rows = list(picture_rows(images, views, definition=definition, seed=seed, draws=DRAWS))
    columns = ["original", *[heading for _ in range(DRAWS) for heading in headings(views)]]
    return arranged(rows, titles, columns, cell_of(definition))


if __name__ == "__main__":
    exit_with(main)
