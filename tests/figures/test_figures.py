"""The style of figures and the folder of results."""

import json
import math
from pathlib import Path

import matplotlib
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from ltray.figures.result_folder import FIGURE_FORMATS, ResultFolder, finite
from ltray.figures.style import NAMED, _characters, name_classes, name_text, new_figure, paper_style


def bars(names: list[str]) -> Figure:
    figure = new_figure()
    axis = figure.subplots()
    axis.bar(range(len(names)), range(1, len(names) + 1))
    name_classes(axis, names)
    return figure


def test_result_has_numbers_provenance_and_a_figure_in_each_format(tmp_path: Path) -> None:
    folder = ResultFolder(tmp_path / "run" / "analysis")
    content = {"rows": [{"value": math.inf, "other": 0.5}]}
    folder.write("gamma", content, provenance={"model": "a"}, draw=lambda: bars(["cat", "dog"]))
    assert sorted(path.name for path in folder.path.iterdir()) == ["gamma.json", "gamma.pdf", "gamma.png"]
    assert folder.file("gamma", "png").read_bytes().startswith(b"\x89PNG")
    assert folder.file("gamma", "pdf").read_bytes().startswith(b"%PDF")
    assert folder.read("gamma", provenance={"model": "a"}) == {"rows": [{"value": None, "other": 0.5}]}
    assert json.loads(folder.file("gamma").read_text())["provenance"] == {"model": "a"}


@pytest.mark.parametrize("missing", ["json", *FIGURE_FORMATS])
def test_incomplete_result_is_computed_again(tmp_path: Path, missing: str) -> None:
    folder = ResultFolder(tmp_path)
    folder.write("a", {"x": 1}, provenance={"model": "a"}, draw=lambda: bars(["b"]))
    folder.file("a", missing).unlink()
    assert folder.read("a", provenance={"model": "a"}) is None


def test_result_of_another_model_or_a_damaged_one_is_computed_again(tmp_path: Path) -> None:
    folder = ResultFolder(tmp_path)
    folder.write("a", {"x": 1}, provenance={"model": "a", "time": 1}, draw=lambda: bars(["b"]))
    assert folder.read("a", provenance={"model": "b"}) is None
    assert folder.read("a", provenance={"model": "a"}) == {"x": 1}
    folder.file("a").write_text(folder.file("a").read_text().replace('"x": 1', '"x": 2'))
    assert folder.read("a", provenance={"model": "a"}) is None


def test_failed_figure_leaves_no_result(tmp_path: Path) -> None:
    def draw() -> Figure:
        raise ZeroDivisionError

    folder = ResultFolder(tmp_path)
    with pytest.raises(ZeroDivisionError):
        folder.write("a", {}, provenance={}, draw=draw)
    assert not list(tmp_path.iterdir())


def test_style_of_the_process_is_restored() -> None:
    before = dict(matplotlib.rcParams)
    with paper_style():
        assert matplotlib.rcParams["pdf.fonttype"] == 42
    assert dict(matplotlib.rcParams) == before


@given(st.text(st.characters(codec=None), max_size=40))
def test_name_is_short_and_in_the_font(name: str) -> None:
    shown = name_text(name)
    assert len(shown.replace(r"\$", "$")) <= 16 and {ord(character) for character in shown} <= _characters()
    assert "$" not in shown.replace(r"\$", "")
    if name.isascii() and name.isprintable() and len(name) <= 16:
        assert shown.replace(r"\$", "$") == name


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["$x$", "$", r"$\frac$", "a_b^c", "日本", "\udcff", "x" * 300, "", "\n"])
def test_every_name_can_be_drawn(tmp_path: Path, name: str) -> None:
    figures = []

    def draw() -> Figure:
        figures.append(bars([name, "other"]))
        return figures[0]

    ResultFolder(tmp_path).write("a", {}, provenance={}, draw=draw)
    assert figures[0].axes[0].get_xticklabels()[0].get_text() == name_text(name)


def test_ticks_of_a_logarithmic_axis_are_mathematics() -> None:
    figure = new_figure()
    with paper_style():
        axis = figure.subplots()
        axis.plot([1, 1000], [1, 1000])
        axis.set_xscale("log")
        figure.draw_without_rendering()
        assert all(label.get_parse_math() for label in axis.get_xticklabels())


def test_names_of_many_classes_are_left_out() -> None:
    few, many = bars(["ab"] * NAMED), bars(["ab"] * (NAMED + 1))
    assert [label.get_text() for label in few.axes[0].get_xticklabels()] == ["ab"] * NAMED
    assert many.axes[0].get_xlabel() == f"{NAMED + 1} classes, most frequent first"


def test_plain_values() -> None:
    assert finite({"a": (1, math.nan, [math.inf, "x", None, True])}) == {"a": [1, None, [None, "x", None, True]]}
