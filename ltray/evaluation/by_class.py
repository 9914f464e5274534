"""A figure with a value and its interval for each class, in the order of training frequency."""

from collections.abc import Sequence
from typing import Any

from ltray.evaluation.figures import LIGHT, SOFT, group_legend, names_of, new_figure
from ltray.evaluation.subject import Subject
from ltray.figures.style import COLUMN, GROUPS, MARKERS, TWO_COLUMNS, paper_style

ROWS = 50  # classes in a column of the figure
NAMED = 100  # up to this number of classes, each one is named
ROW = 0.155  # inches

Value = tuple[float, float, float]
"""A value and the ends of its interval."""


def class_figure(
    subject: Subject, values: Sequence[Value | None], label: str, *, ends: tuple[float, float] | None
) -> Any:
    """Draw the values of all classes; the most frequent one is at the top, or on the left.

    Args:
        subject: The model.
        values: By label (K); None for a class without images.
        label: Label of the axis of the values.
        ends: Ends of that axis; None: those of the values.
    """
    with paper_style():
        if subject.tail.classes > NAMED:
            return _unnamed(subject, values, label, ends)
        columns = -(-subject.tail.classes // ROWS)
        rows = -(-subject.tail.classes // columns)
        figure = new_figure(COLUMN if columns == 1 else TWO_COLUMNS, ROW * rows + 0.75)
        names = names_of(subject.class_names)
        for number, axes in enumerate(figure.subplots(1, columns, squeeze=False)[0]):
            shown = subject.by_frequency[number * rows : (number + 1) * rows]
            for place, one in enumerate(shown):
                _point(axes, subject, one, place, values[one], horizontal=True)
            axes.set_yticks(range(len(shown)), [names[one] for one in shown])
            axes.set_ylim(rows - 0.4, -0.6)
            axes.set_xlabel(label)
            axes.grid(axis="x", color=LIGHT, linewidth=0.5)
            axes.set_axisbelow(True)
            if ends:
                axes.set_xlim(*ends)
            else:
                axes.axvline(0, color=SOFT, linewidth=0.6)
        group_legend(figure, list(subject.tail.groups()))
        return figure


def _unnamed(subject: Subject, values: Sequence[Value | None], label: str, ends: tuple[float, float] | None) -> Any:
    figure = new_figure(TWO_COLUMNS, 2.6)
    axes = figure.subplots()
    for place, one in enumerate(subject.by_frequency):
        _point(axes, subject, one, place, values[one], horizontal=False)
    axes.set_xlabel("classes, the most frequent first")
    figure.suptitle(label.replace("\n", ": "), fontsize=7)
    axes.grid(axis="y", color=LIGHT, linewidth=0.5)
    if ends:
        axes.set_ylim(*ends)
    group_legend(figure, list(subject.tail.groups()))
    return figure


def _point(axes: Any, subject: Subject, label: int, place: int, value: Value | None, *, horizontal: bool) -> None:
    if value is None:
        return
    group = subject.tail.group_of()[label]
    middle, low, high = value
    errors = [[max(middle - low, 0)], [max(high - middle, 0)]]
    where = (
        {"x": [middle], "y": [place], "xerr": errors} if horizontal else {"x": [place], "y": [middle], "yerr": errors}
    )
    size = {"markersize": 3.2, "elinewidth": 0.8} if horizontal else {"markersize": 1.6, "elinewidth": 0.3}
    axes.errorbar(**where, fmt=MARKERS[group], color=GROUPS[group], **size)
