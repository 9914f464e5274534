"""The contract of an analysis: its name, what it needs, and what it finds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ltray.evaluation.subject import Subject

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Found:
    """The result of an analysis.

    Attributes:
        values: Plain values for JSON; fractions of 1, seconds, pixels.
        tables: Rows of images, classes or corruptions, by the name of their Parquet file.
        figures: Functions that draw the figures, by the name of their files.
    """

    values: Mapping[str, Any]
    tables: Mapping[str, "pd.DataFrame"] = field(default_factory=dict)
    figures: Mapping[str, Callable[[], "Figure"]] = field(default_factory=dict)


@dataclass(frozen=True)
class Analysis:
    """One analysis of a model on a split.

    Attributes:
        name: Its name in `--analyses` and of its files.
        title: What it answers, in a few words.
        compute: The analysis.
        summary: Returns its main values as a line, from the values in its JSON file.
        needs_images: Whether it classifies images; a cross-validation has scores of its images, but not its models.
        compares: Whether it compares the model with another one.
    """

    name: str
    title: str
    compute: Callable[[Subject], Found]
    summary: Callable[[Mapping[str, Any]], str]
    needs_images: bool = False
    compares: bool = False
