"""Figures for papers: no label overlaps another one or is cut off, names are drawable."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from ltray.evaluation import calibration, confusion, difference, figures, latency, robustness, scores, similarity
from ltray.evaluation.subject import Subject
from ltray.figures.style import GROUPS, paper_style
from tests.evaluation.subjects import subject

SLACK = 1.0  # pixels at 100 dpi by which boxes of texts may touch


def drawn_texts(figure: Any) -> list[Any]:
    """Return the visible texts of a figure with content, after its layout."""
    figure.set_dpi(100)
    with paper_style():
        figure.draw_without_rendering()
    return [
        text
        for text in figure.findobj(lambda one: hasattr(one, "get_window_extent") and hasattr(one, "get_text"))
        if text.get_visible() and text.get_text().strip()
    ]


def overlaps(figure: Any) -> list[str]:
    """Return pairs of texts that overlap, and texts that are cut off."""
    texts = drawn_texts(figure)
    inside = figure.bbox
    found, boxes = [], []
    for text in texts:
        box = text.get_window_extent()
        axes = text.axes
        ticks = [one for axis in (axes.xaxis, axes.yaxis) for one in axis.get_ticklabels()] if axes else []
        if axes and text in ticks and not _in_view(axes, text):
            continue
        if box.x0 < -SLACK or box.y0 < -SLACK or box.x1 > inside.width + SLACK or box.y1 > inside.height + SLACK:
            found.append(f"cut off: {text.get_text()}")
        boxes.append((text.get_text(), box))
    for (one, first), (two, second) in itertools.combinations(boxes, 2):
        wide = min(first.x1, second.x1) - max(first.x0, second.x0)
        high = min(first.y1, second.y1) - max(first.y0, second.y0)
        if wide > SLACK and high > SLACK:
            found.append(f"{one!r} on {two!r}")
    return found


def _in_view(axes: Any, text: Any) -> bool:
    """Whether the tick of a label is inside the limits of its axis; matplotlib keeps labels outside them."""
    x, y = text.get_position()
    (left, right), (low, high) = sorted(axes.get_xlim()), sorted(axes.get_ylim())
    on_x = text in axes.xaxis.get_ticklabels()
    return left <= x <= right if on_x else low <= y <= high


def _found_figures(one: Subject) -> dict[str, Callable[[], Any]]:
    drawn: dict[str, Callable[[], Any]] = {}
    for compute in (scores.scores, calibration.calibration, confusion.confusion, difference.difference):
        drawn |= compute(one).figures
    errors = torch.rand(15, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values = {"clean_error": 0.2, "mce": 0.5, "normalised_mce": 0.6}
    drawn["robustness"] = lambda: robustness._errors(one, errors, values)
    drawn["latency"] = lambda: latency._figure(one, {1: np.array([0.01, 0.011]), 64: np.array([0.05, 0.06])})
    groups = {name: {"positives": 0.5, "positives_se": 0.1, "negatives": 0.1} for name in ("many", "medium", "few")}
    drawn["similarity"] = lambda: similarity._figure({"train": groups, "val": groups})
    return drawn


@pytest.mark.parametrize("classes", [2, 10, 30, 100, 300])
def test_no_text_overlaps_another_or_is_cut_off(classes, monkeypatch):
    monkeypatch.setattr(scores, "RESAMPLES", 2)
    found = {name: overlaps(draw()) for name, draw in _found_figures(subject(classes, compared=True)).items()}
    assert len(found) == 9
    assert {name: problems for name, problems in found.items() if problems} == {}


def test_overlap_and_cut_are_detected():
    with paper_style():
        figure = figures.new_figure(2, 1)
        figure.set_layout_engine("none")
        figure.text(0.1, 0.5, "first word")
        figure.text(0.15, 0.52, "second")
        figure.text(0.9, 0.1, "much too long for this place")
    problems = overlaps(figure)
    assert "'first word' on 'second'" in problems and "cut off: much too long for this place" in problems


def test_figures_are_files_of_two_kinds_with_equal_bytes(monkeypatch):
    monkeypatch.setattr(figures, "DPI", 40)
    one = subject(10)
    found = [figures.as_files(calibration.calibration(one).figures["calibration"]()) for _ in range(2)]
    assert found[0] == found[1] and found[0].keys() == {"png", "pdf"}
    assert found[0]["png"].startswith(b"\x89PNG") and found[0]["pdf"].startswith(b"%PDF")


def test_group_colours_differ_for_every_kind_of_colour_vision():
    """Distances in brightness and along the blue axis, which people with red-green blindness see."""
    codes = [GROUPS[name] for name in ("many", "medium", "few")]
    colours = [np.array([int(code[place : place + 2], 16) for place in (1, 3, 5)]) / 255 for code in codes]
    for one, two in itertools.combinations(colours, 2):
        brightness = abs((one - two) @ np.array([0.299, 0.587, 0.114]))
        assert brightness + abs(one[2] - two[2]) > 0.2
