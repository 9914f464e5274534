"""Sheets of pictures in rows: training images with their views."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw

from ltray.captions import caption, width
from ltray.data.dataset import ImageData
from ltray.data.loaders import ImageLoader
from ltray.data.plan import Plan
from ltray.data.sampling import Sampling
from ltray.data.views import ViewMaker
from ltray.errors import UsageError
from ltray.example_views import cell_of, cells_of, classes_of_all_sizes, first_views, headings
from ltray.experiment import Experiment
from ltray.long_tail import LongTail

GAP, MARGIN, TEXT = 4, 110, 28  # pixels
WIDEST_TITLE = 300  # pixels
ROWS, DRAWS = 8, 2


def sheet_of_run(experiment: Experiment, data: ImageData) -> Image.Image | None:
    """Return two draws of the views of a run's first stage, of an image of up to 8 classes, the largest first.

    Args:
        experiment: The run.
        data: Its data, of which only these images are read.

    Returns:
        The sheet; None if the first stage is trained on features, not on images.
    """
    tail, definition = data.tail, data.definition
    try:
        views = first_views(experiment.methods[0], experiment.knobs[0], definition, tail)
    except UsageError:
        return None
    chosen = classes_of_all_sizes(tail, ROWS)
    first = np.array([np.flatnonzero(data.splits.train.labels == label)[0] for label in chosen])
    labels = torch.tensor(chosen)
    plan = Plan.of(labels, None, sampling=Sampling(), seed=experiment.seed, batch=len(labels))
    maker = ViewMaker(views, definition, experiment.seed)
    loader = ImageLoader(data.training_images(first), labels.to(data.device), plan=plan, views=maker)
    rows: list[list[Image.Image]] = [[] for _ in chosen]
    for draw in range(DRAWS):
        batch = next(loader.epoch(draw))
        for place, row in enumerate(batch.indices.tolist()):
            one = {name: view[place : place + 1].cpu() for name, view in batch.views.items()}
            boxes = None if batch.boxes is None else batch.boxes[place : place + 1].cpu()
            rows[row] += cells_of(one, boxes, views, definition=definition, cell=cell_of(definition))
    titles = row_titles(chosen, data.class_names, tail)
    return arranged(rows, titles, headings(views) * DRAWS, cell_of(definition))


def row_titles(labels: Sequence[int], class_names: Sequence[str], tail: LongTail) -> list[str]:
    """Return name and number of training images of classes, two lines each."""
    return [f"{caption(class_names[one], widest=WIDEST_TITLE)}\n{tail.counts[one]} images" for one in labels]


def arranged(
    rows: Sequence[Sequence[Image.Image]], titles: Sequence[str], headings: Sequence[str], cell: int
) -> Image.Image:
    """Return a sheet of square pictures.

    Args:
        rows: The pictures, row by row.
        titles: The title of each row.
        headings: The title of each column.
        cell: Side of a picture in pixels.
    """
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
