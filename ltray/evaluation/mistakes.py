"""The most confident mistakes, with their pictures."""

from collections.abc import Mapping
from typing import Any

from ltray.evaluation.analysis import Analysis, Found
from ltray.evaluation.figures import new_figure
from ltray.evaluation.subject import Subject
from ltray.figures.style import GROUPS, TWO_COLUMNS, name_text, paper_style
from ltray.results.confident_mistakes import confident_mistakes

SHOWN, COLUMNS = 18, 6
LISTED = 100
OF_ONE_CLASS = 2  # of one true class among the pictures


def mistakes(subject: Subject) -> Found:
    """Return the wrong predictions with the highest confidence; pictures of at most two of one true class."""
    import pandas as pd

    split, positions = subject.split, subject.positions
    names, predictions = subject.class_names, subject.predictions
    listed = confident_mistakes(predictions, count=LISTED, of_one_class=LISTED)
    shown = confident_mistakes(predictions, count=SHOWN, of_one_class=OF_ONE_CLASS)
    rows = [
        {
            "position": row,
            "pool": split.pool,
            "image": int(split.indices[int(positions[row])]),
            "class": names[int(predictions.labels[row])],
            "predicted": names[int(subject.predicted[row])],
            "confidence": float(subject.confidence[row]),
            "shown": row in shown,
        }
        for row in sorted({*listed, *shown}, key=lambda row: -float(subject.confidence[row]))
    ]
    wrong = int((subject.predicted != predictions.labels).sum())
    values = {"images": len(predictions.labels), "wrong": wrong, "mistakes": rows}
    columns = ["position", "pool", "image", "class", "predicted", "confidence", "shown"]
    figures = {"mistakes": lambda: _pictures(subject, shown)} if shown else {}
    return Found(values, {"mistakes": pd.DataFrame(rows, columns=columns)}, figures)


def _line(values: Mapping[str, Any]) -> str:
    return f"{values['wrong']:,} of {values['images']:,} images are classified wrongly"


MISTAKES = Analysis("mistakes", "the most confident mistakes, with pictures", mistakes, _line)


def _pictures(subject: Subject, rows: list[int]) -> Any:
    with paper_style():
        lines = -(-len(rows) // COLUMNS)
        figure = new_figure(TWO_COLUMNS, 1.62 * lines)
        places = figure.subplots(lines, COLUMNS, squeeze=False).ravel()
        for axes in places:
            axes.axis("off")
        groups = subject.tail.group_of()
        for axes, row, pixels in zip(places, rows, subject.pixels(rows), strict=False):
            true, guess = int(subject.predictions.labels[row]), int(subject.predicted[row])
            axes.imshow(pixels, interpolation="nearest")
            name, taken = (name_text(subject.class_names[one], 17) for one in (true, guess))
            axes.set_title(
                f"{name}\nas {taken}\n{100 * float(subject.confidence[row]):.0f} %",
                fontsize=6.3,
                color=GROUPS[groups[true]],
                linespacing=1.1,
            )
        return figure
