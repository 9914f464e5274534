"""Knobs whose best values are at an end of their range, and a wider range."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import pandas as pd

from ltray.space.dimension import Dimension

NEAR, BEST = 0.1, 3  # the best value within a tenth of the range; the median of the best three within a fifth
WIDER = 0.5  # the part of the old range by which the suggested range is wider, on its scale


@dataclass(frozen=True)
class Edge:
    """A knob whose best value may be outside its range.

    Attributes:
        key: The knob's full name.
        end: "lower" or "upper".
        best: Its value in the best trial.
        suggestion: A wider range, such as "{from: 0.02, to: 0.5, log: true}".
    """

    key: str
    end: str
    best: Any
    suggestion: str


def edges(table: pd.DataFrame, explored: Sequence[Dimension], *, metric: str) -> list[Edge]:
    """Return the knobs whose best values are at an end of the range that is not the knob's legal bound.

    A single best trial may be there by chance. The best value must be within a tenth of the range from
    its end, and the median of the best three within a fifth.

    Args:
        table: One row per trial; see `ltray.results.importance.importances`.
        explored: The explored knobs.
        metric: Column by which trials are ranked.
    """
    complete = table[table["state"] == "complete"]
    found = []
    for dimension in explored:
        if dimension.key not in complete or metric not in complete:
            continue
        known = complete[complete[dimension.key].notna()].sort_values(metric, ascending=False, kind="stable")
        values = known[dimension.key].head(BEST).tolist()
        if len(values) == BEST and (edge := _edge(dimension, values)):
            found.append(edge)
    return found


def _edge(dimension: Dimension, best: Sequence[Any]) -> Edge | None:
    points = _points(dimension)
    if points is None:
        return None
    shares = [_share(dimension, points, value) for value in best]
    for end, at in (("lower", shares), ("upper", [1 - share for share in shares])):
        if at[0] <= NEAR and median(at) <= 2 * NEAR:
            suggestion = _wider(dimension, points, end)
            return Edge(dimension.key, end, best[0], suggestion) if suggestion else None
    return None


def _points(dimension: Dimension) -> list[float] | None:
    """Return the ends of a range or the sorted values of a list; None for values without an order."""
    points = dimension.ends
    if any(isinstance(point, bool) or not isinstance(point, int | float) for point in points) or len(points) < 2:
        return None
    return sorted(points)


def _share(dimension: Dimension, points: Sequence[float], value: float) -> float:
    """Return the position of a value in the range, 0 to 1 on the range's scale; in a list, by index."""
    if dimension.among is not None:
        return min(range(len(points)), key=lambda i: abs(points[i] - value)) / (len(points) - 1)
    low, high, at = ((math.log(v) if dimension.log else v) for v in (points[0], points[1], value))
    return (at - low) / (high - low)


def _wider(dimension: Dimension, points: Sequence[float], end: str) -> str:
    """Return a range or list that is wider at one end, within the legal bounds; "" if that is not possible."""
    steps = points if end == "upper" else points[::-1]
    last, before = steps[-1], steps[-2]
    by_ratio = dimension.log or (dimension.among is not None and before > 0 and last > 0)
    stretch = 1.0 if dimension.among is not None else WIDER
    beyond = last * (last / before) ** stretch if by_ratio else last + (last - before) * stretch
    if dimension.integer:
        beyond = math.floor(beyond) if end == "lower" else math.ceil(beyond)
    low, high = dimension.spec.low, dimension.spec.high
    beyond = min(max(beyond, -math.inf if low is None else low), math.inf if high is None else high)
    beyond = int(beyond) if dimension.integer else float(f"{beyond:.2g}")
    if (low is not None and beyond < low) or (high is not None and beyond > high):
        beyond = last  # the rounded value must be in the legal range
    if (beyond >= last) if end == "lower" else (beyond <= last):
        return ""
    if dimension.among is not None:
        return f"{{among: [{', '.join(f'{v:g}' for v in sorted([*points, beyond]))}]}}"
    start, stop = (beyond, points[1]) if end == "lower" else (points[0], beyond)
    return f"{{from: {start:g}, to: {stop:g}{', log: true' if dimension.log else ''}}}"
