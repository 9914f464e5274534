"""The page in a real browser, without a network: figures, pictures, layout, keyboard, print.

Skipped where Chromium is not installed, except if CI is set: `.ci/run` installs it.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from ltray.report.plot import short
from ltray.report.render import write_report
from ltray.report.theme import DARK, LIGHT
from ltray.results.final_evaluation import keep_evaluated
from ltray.results.run_record import RunRecord
from ltray.run_folder import checkpoint_of
from ltray.testing import contract
from tests.conftest import from_memory
from tests.report.conftest import make_search, rename_classes
from tests.report.test_page import NASTY
from tools.browser import COMMAND, find

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
ARGUMENTS += ["--disable-component-update", "--disable-sync"]
PATIENCE = 120_000  # milliseconds
CHROMIUM = find()
pytestmark = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"), reason=f"Chromium is not installed: {COMMAND}"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert CHROMIUM is not None, f"the tests of the report need Chromium: {COMMAND}"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def file(short_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a search whose classes have names that would change a page or a figure if they were not escaped."""
    folder = tmp_path_factory.mktemp("report")
    finished = folder / "finished"
    shutil.copytree(short_run, finished)
    with pytest.MonkeyPatch.context() as patch:
        from_memory(patch)
        keep_evaluated(finished, checkpoint_of(finished), contract.CPU)
        search = make_search(finished, folder / "search")
        rename_classes(search / "best", NASTY)
        return write_report([RunRecord.read(search)], folder / "report.html")


@pytest.fixture(scope="module")
def log() -> list[str]:
    """Requests, messages and errors of all pages of this file."""
    return []


@pytest.fixture(scope="module")
def page(browser: Browser, file: Path, log: list[str]) -> Iterator[Page]:
    context = browser.new_context(offline=True, color_scheme="light", viewport={"width": 1200, "height": 900})
    page = context.new_page()
    page.on("console", lambda message: log.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: log.append(f"error: {error}"))
    page.on("request", lambda request: log.append(request.url) if request.url != file.as_uri() else None)
    page.goto(file.as_uri())
    page.wait_for_selector("html[data-drawn]", timeout=PATIENCE)
    yield page
    context.close()


FIGURES = """() => [...document.querySelectorAll('.plot')].map((plot) => {
  const box = plot.querySelector('.main-svg')?.getBoundingClientRect();
  const marks = plot.querySelectorAll('.trace path, .point path, .hm image, .contourlayer path, .bars path, .js-line');
  return [plot.getAttribute('aria-label'), box?.width ?? 0, plot.clientWidth, box?.height ?? 0, marks.length];
})"""


def check_drawn(page: Page, least: int = 12) -> None:
    figures = page.evaluate(FIGURES)
    assert len(figures) >= least
    for label, width, room, height, marks in figures:
        assert abs(width - room) <= 2 and width > 200 and height > 100 and marks > 0, label


def settle(page: Page) -> None:
    """Wait until figures that are resized or coloured again are drawn."""
    page.wait_for_function(
        """() => [...document.querySelectorAll('.plot')].every((plot) => {
          const width = plot.querySelector('.main-svg')?.getBoundingClientRect().width ?? 0;
          return plot.offsetParent === null || Math.abs(width - plot.clientWidth) <= 2;
        })""",
        timeout=PATIENCE,
    )


@pytest.mark.parametrize(("width", "theme"), [(1200, "light"), (1200, "dark"), (768, "dark"), (360, "light")])
def test_every_figure_is_drawn_at_every_width_and_theme(page: Page, log: list[str], width: int, theme: Any) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=theme)
    settle(page)
    check_drawn(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "the body does not scroll horizontally"
    pictures = page.evaluate("[...document.images].map((one) => one.complete && one.naturalWidth > 0)")
    assert len(pictures) > 6 and all(pictures)
    colours = DARK if theme == "dark" else LIGHT
    drawn = page.evaluate("getComputedStyle(document.querySelector('.plot .xtick text')).fill")
    assert drawn == f"rgb({', '.join(str(int(colours['soft'][i : i + 2], 16)) for i in (1, 3, 5))})"
    assert log == [], "no message, no error, no request"


def test_names_are_shown_as_text(page: Page) -> None:
    assert page.title() == "search · ltray"
    shown = page.evaluate("[...document.querySelectorAll('.plot text')].map((one) => one.textContent)")
    for name in NASTY[:6]:
        assert short(name, 18) in shown, name
    assert page.evaluate("document.querySelectorAll('.plot a, .plot b').length") == 0


def test_keyboard_reaches_the_content_and_opens_details(page: Page) -> None:
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Tab")
    skip = page.evaluate("[document.activeElement.className, document.activeElement.getBoundingClientRect().x >= 0]")
    assert skip == ["skip", True], "the first stop is a visible link to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    summary = page.locator("summary").last
    summary.focus()
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    page.keyboard.press("Enter")
    assert outline == "solid" and page.evaluate("document.activeElement.parentElement.open")
    page.keyboard.press("Enter")


def test_printed_page_has_open_details_and_light_figures(page: Page, log: list[str]) -> None:
    page.set_viewport_size({"width": 1200, "height": 900})
    page.emulate_media(color_scheme="dark")
    settle(page)
    closed = page.evaluate("document.querySelectorAll('details:not([open])').length")
    assert closed > 1
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("document.querySelectorAll('details:not([open])').length") == 0
    page.wait_for_function(
        "[...document.querySelectorAll('.plot .main-svg')].every((one) => one.getBoundingClientRect().width <= 661)",
        timeout=PATIENCE,
    )
    fill = page.evaluate("getComputedStyle(document.querySelector('.plot .xtick text')).fill")
    assert fill == f"rgb({', '.join(str(int(LIGHT['soft'][i : i + 2], 16)) for i in (1, 3, 5))})"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate("document.querySelectorAll('details:not([open])').length") == closed
    assert len(page.pdf(format="A4")) > 50_000
    assert log == []
