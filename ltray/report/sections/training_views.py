"""What the method sees: training images with the augmented views of its first stage."""

from ltray.errors import UsageError
from ltray.example_views import first_views, headings, picture_rows
from ltray.report.best_model import BestModel
from ltray.report.pictures import picture
from ltray.report.run_images import NoImages, RunImages
from ltray.report.section import Section

ROWS, DRAWS = 4, 2


def training_views(model: BestModel) -> Section | None:
    """Return some training images with two draws of each view; None without images or for methods without views."""
    images = RunImages(model)
    try:
        rows, names = _rows(model, images)
    except (NoImages, UsageError):
        return None  # the section with predictions has the reason
    return Section("training_views", "Views of the training data", {"rows": rows, "headings": names})


def _rows(model: BestModel, images: RunImages) -> tuple[list[dict[str, object]], list[str]]:
    experiment, originals = images.experiment, images.originals
    views = first_views(experiment.methods[0], experiment.knobs[0], experiment.dataset, originals.splits.tail)
    labels, stored = zip(*originals.examples(ROWS), strict=True)
    columns = ["original", *[name.replace("\n", ", ") for _ in range(DRAWS) for name in headings(views)]]
    drawn = picture_rows(stored, views, definition=experiment.dataset, seed=experiment.seed, draws=DRAWS)
    rows: list[dict[str, object]] = []
    for label, row in zip(labels, drawn, strict=True):
        name = str(model.class_names[label])
        alts = [f"{name}: {column}" for column in columns]
        cells = [picture(image, alt) for image, alt in zip(row, alts, strict=True)]
        rows.append({"name": name, "images": originals.splits.tail.counts[label], "pictures": cells})
    return rows, columns
