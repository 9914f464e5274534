"""The page as a document: escaping, JSON in scripts, contrast, headings, alternatives for figures and pictures."""

import base64
import gzip
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from ltray.printable import printable
from ltray.report.plot import Plot, log_ticks, new_figure, short
from ltray.report.render import page_of, write_report
from ltray.report.script import json_for_script, plotly_bundle
from ltray.report.section import Section
from ltray.report.table import PageTable
from ltray.report.templating import environment
from ltray.report.theme import DARK, GROUPS, LIGHT, SERIES, colour
from ltray.results.run_record import RunRecord
from tests.report.conftest import rename_classes

NASTY = [
    "</script><script>document.title = 'taken'</script>",
    "<b>bold</b> & \"quoted\" 'single'",
    "control \x1b[31m and \u202e right to left",
    "<!-- comment",
    "{{ 7 * 7 }} {% raw %}",
    "%{y} $x^2$",
    "a name that is much longer than any axis of a figure, in words and in CamelCaseWithoutSpaces" * 3,
    "undecodable \udce4",
    "",
    "ß 漢字 é",
]


@given(
    st.recursive(
        st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_json_for_a_script_is_the_value_and_cannot_end_the_script(value: object) -> None:
    text = str(json_for_script(value))
    assert json.loads(text) == value
    assert text.isascii() and not set("<>&") & set(text)


def test_not_a_number_is_an_error_in_a_script() -> None:
    with pytest.raises(ValueError, match="JSON"):
        json_for_script({"x": float("nan")})


def test_bundle_is_the_installed_plotly() -> None:
    source = gzip.decompress(base64.b64decode(str(plotly_bundle())))
    assert source.startswith(b"/**\n* plotly.js") and len(source) > 1_000_000


@pytest.mark.parametrize("name", NASTY)
def test_names_in_figures_are_plain_text(name: str) -> None:
    figure = new_figure(name)
    figure.add_scatter(x=[1.0], y=[float("nan")], name=name, customdata=[name], hovertemplate="%{y:.1f}<extra></extra>")
    spec = json.loads(str(Plot(figure, name).json()))
    (trace,) = spec["data"]
    for shown in (trace["name"], trace["customdata"][0], spec["layout"]["xaxis"]["title"]["text"]):
        assert not set("<>$") & set(shown) and shown.isprintable()
    assert trace["hovertemplate"] == "%{y:.1f}<extra></extra>" and "template" not in spec["layout"]


@pytest.mark.parametrize("name", NASTY)
def test_names_in_templates_are_plain_text(name: str) -> None:
    table = PageTable(name, [name], [[name, name]])
    for html in (
        Section("explored", name, {"table": table}).html(),
        Section("answer", name, {"sentences": [name], "tiles": [(name, name)], "steps": []}).html(),
    ):
        checker = _Document()
        checker.feed(html)
        assert checker.tags <= {
            "section",
            "h2",
            "div",
            "table",
            "caption",
            "thead",
            "tbody",
            "tr",
            "th",
            "td",
            "p",
            "b",
            "span",
        }
        assert "\x1b" not in html and "\u202e" not in html and html.encode()


def test_unknown_name_in_a_template_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        environment().from_string("{{ absent }}").render()


@given(st.text(), st.integers(3, 40))
def test_short_names_have_at_most_the_length(name: str, longest: int) -> None:
    shown = short(name, longest)
    assert len(shown) <= longest and printable(shown) == shown


@given(st.floats(1e-6, 1e6), st.floats(1.0, 1e9))
def test_logarithmic_axes_have_ticks_inside(low: float, factor: float) -> None:
    ticks = log_ticks(low, low * factor)["tickvals"]
    assert 1 <= len(ticks) <= 20 and ticks == sorted(ticks)
    assert all(low * 0.999 <= tick <= low * factor * 1.001 for tick in ticks)


def luminance(value: str) -> float:
    """Return the relative luminance of a colour (WCAG 2)."""
    parts = [int(value[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(first: str, second: str) -> float:
    """Return the contrast ratio of two colours (WCAG 2)."""
    low, high = sorted(luminance(value) for value in (first, second))
    return (high + 0.05) / (low + 0.05)


def test_contrast_of_known_colours() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21) and contrast("#777777", "#ffffff") == pytest.approx(
        4.48, abs=0.01
    )


def themes(page: str) -> list[dict[str, str]]:
    """Return the colours of the light and the dark theme from the page's style sheet."""
    found = re.findall(r":root \{([^}]*)\}", page)
    return [dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", block)) for block in found]


def test_text_has_a_contrast_of_4_5_and_marks_of_3_in_both_themes(search: Path) -> None:
    page = page_of([RunRecord.read(search)])
    light, dark = themes(page)
    assert (light, dark) == (dict(LIGHT), dict(DARK))
    as_text = set(re.findall(r"[ {;]color: var\(--(\w+)\)", page)) | {"ink", "soft"}
    assert {"blue", "green", "red", "orange"} <= as_text
    for theme in (light, dark):
        for ground in ("page", "card"):
            low = {name: contrast(theme[name], theme[ground]) for name in as_text}
            assert {name: ratio for name, ratio in low.items() if ratio < 4.5} == {}
            marks = {name: contrast(theme[name], theme[ground]) for name in {*SERIES, *GROUPS.values()}}
            assert {name: ratio for name, ratio in marks.items() if ratio < 3} == {}


def test_unknown_colour_is_an_error() -> None:
    with pytest.raises(KeyError):
        colour("bleu")


class _Document(HTMLParser):
    """Records tags, headings, captions and the attributes that accessibility needs."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.levels: list[int] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.without: list[str] = []
        self.tables = self.captions = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record a tag."""
        known = dict(attrs)
        self.tags.add(tag)
        self.levels += [int(tag[1])] if re.fullmatch("h[1-6]", tag) else []
        self.ids += [known["id"]] if known.get("id") else []
        self.links += [known["href"]] if tag == "a" and known.get("href") else []
        self.tables += tag == "table"
        self.captions += tag == "caption"
        if tag == "img" and not known.get("alt"):
            self.without.append(f"{tag}: alt")
        if known.get("class") == "plot" and not (known.get("role") == "img" and known.get("aria-label")):
            self.without.append("plot: aria-label")
        if tag == "th" and not known.get("scope"):
            self.without.append("th: scope")


@pytest.mark.parametrize("several", [False, True])
def test_document_is_accessible(search: Path, several: bool) -> None:
    record = RunRecord.read(search)
    document = _Document()
    document.feed(page_of([record, record] if several else [record]))
    assert document.without == [] and document.tables == document.captions > 5
    assert document.levels[0] == 1 and document.levels.count(1) == 1
    steps = [after - before for before, after in zip(document.levels, document.levels[1:], strict=False)]
    assert max(steps) <= 1, "no level of headings is left out"
    assert len(set(document.ids)) == len(document.ids)
    assert {link.removeprefix("#") for link in document.links} <= set(document.ids)


def test_class_names_of_a_run_are_escaped_everywhere(search: Path) -> None:
    rename_classes(search / "best", NASTY)
    text = write_report([RunRecord.read(search)], search / "report.html").read_text(encoding="utf-8")
    assert text.count("<script>") == 1 and "<b>bold" not in text and "<!-- comment" not in text
    assert "\x1b" not in text and "\u202e" not in text
    assert "{{ 7 * 7 }}" in text, "values are not templates"
