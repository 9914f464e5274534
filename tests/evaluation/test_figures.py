"""Figures for papers: no label overlaps another one or is cut off, names are drawable."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from ltray.evaluation import calibration, confusion, difference, figures, latency, robustness, scores, similarity
from ltray.evaluation.subject import Subject
from ltray.figures.style import _STYLE, GROUPS, figure_files, paper_style
from tests.evaluation.subjects import subject

SLACK = 1.0  # pixels at 100 dpi by which boxes of texts may touch


def drawn_texts(figure: Any) -> list[Any]:
    """Return the texts of a figure with content, after its layout; no labels of ticks outside the view."""
    figure.set_dpi(100)
    with paper_style():
        for _ in range(2):  # the second layout knows the labels of the ticks
            figure.draw_without_rendering()
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes if axes.get_legend())]
    texts = [*figure.texts, *(text for legend in legends for text in legend.get_texts())]
    texts += [text for text in (figure._suptitle, figure._supxlabel) if text is not None and text not in figure.texts]
    for axes in figure.axes:
        texts += [*axes.texts, axes.title, axes._left_title, axes._right_title]
        if axes.axison:
            texts += [axes.xaxis.label, axes.yaxis.label]
            texts += [text for text in axes.get_xticklabels() if _within(text.get_position()[0], axes.get_xlim())]
            texts += [text for text in axes.get_yticklabels() if _within(text.get_position()[1], axes.get_ylim())]
    return [text for text in texts if text.get_visible() and text.get_text().strip()]


def _within(place: float, limits: tuple[float, float]) -> bool:
    return min(limits) - 1e-9 <= place <= max(limits) + 1e-9


def overlaps(figure: Any) -> list[str]:
    """Return pairs of texts that overlap, and texts that are cut off."""
    boxes = [(text.get_text(), text.get_window_extent()) for text in drawn_texts(figure)]
    width, height = figure.bbox.width + SLACK, figure.bbox.height + SLACK
    found = [
        f"cut off: {text}"
        for text, box in boxes
        if box.x0 < -SLACK or box.y0 < -SLACK or box.x1 > width or box.y1 > height
    ]
    for (one, first), (two, second) in itertools.combinations(boxes, 2):
        wide = min(first.x1, second.x1) - max(first.x0, second.x0)
        high = min(first.y1, second.y1) - max(first.y0, second.y0)
        if wide > SLACK and high > SLACK:
            found.append(f"{one!r} on {two!r}")
    return found


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
    monkeypatch.setitem(_STYLE, "savefig.dpi", 40)
    one = subject(10)
    found = [figure_files(calibration.calibration(one).figures["calibration"]()) for _ in range(2)]
    assert found[0] == found[1] and found[0].keys() == {"png", "pdf"}
    assert found[0]["png"].startswith(b"\x89PNG") and found[0]["pdf"].startswith(b"%PDF")


def test_group_colours_differ_for_every_kind_of_colour_vision():
    """Distances in brightness and along the blue axis, which people with red-green blindness see."""
    codes = [GROUPS[name] for name in ("many", "medium", "few")]
    colours = [np.array([int(code[place : place + 2], 16) for place in (1, 3, 5)]) / 255 for code in codes]
    for one, two in itertools.combinations(colours, 2):
        brightness = abs((one - two) @ np.array([0.299, 0.587, 0.114]))
        assert brightness + abs(one[2] - two[2]) > 0.2
