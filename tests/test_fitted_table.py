"""A table leaves columns out in the stated order, truncates nothing, and says what it left out."""

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from ltray.fitted_table import WRAPPED, FittedTable

WORDS = st.text("abcdefgh", min_size=1, max_size=18)
HEADINGS = st.lists(st.text("klmnopqr", min_size=2, max_size=12), min_size=2, max_size=9, unique=True)
LEFT_OUT = "not shown for lack of space: "


def printed(table: FittedTable, width: int) -> str:
    text = io.StringIO()
    Console(file=text, width=width, color_system=None).print(table)
    return text.getvalue()


def headings_in(text: str) -> list[str]:
    return [cell.strip() for cell in text.splitlines()[1].strip("┃").split("┃")]


def natural_width(columns: dict[str, list[str]]) -> int:
    return 1 + sum(3 + max(map(len, [heading, *cells])) for heading, cells in columns.items())


@given(HEADINGS, st.data(), st.integers(40, 150))
def test_first_columns_of_the_order_are_left_out_and_no_more(
    headings: list[str], data: st.DataObject, width: int
) -> None:
    columns = {heading: data.draw(st.lists(WORDS, min_size=3, max_size=3)) for heading in headings}
    order = data.draw(st.permutations(headings[1:]))
    table = FittedTable(optional=[(heading,) for heading in order])
    for heading in columns:
        table.add_column(heading, no_wrap=True)
    for cells in zip(*columns.values(), strict=True):
        table.add_row(*cells)

    text = printed(table, width)
    shown = headings_in(text)
    missing = [heading for heading in headings if heading not in shown]
    assert set(missing) == set(order[: len(missing)])
    kept = {heading: cells for heading, cells in columns.items() if heading in shown}
    assert natural_width(kept) <= width
    assert all(cell in text for cells in kept.values() for cell in cells) and "…" not in text
    if missing:
        last = order[len(missing) - 1]
        assert natural_width({h: c for h, c in columns.items() if h in kept or h == last}) > width
        assert LEFT_OUT + ", ".join(missing) in " ".join(text.split())
    else:
        assert LEFT_OUT not in text


def test_columns_of_one_item_are_left_out_together() -> None:
    table = FittedTable(optional=[("aa", "bb"), ("cc",)], notes=dict.fromkeys(("aa", "bb"), "aa = 1"), remedy="see X")
    for heading in ("first", "aa", "bb", "cc"):
        table.add_column(heading, no_wrap=True)
    table.add_row(*("x" * 12 for _ in range(4)))
    text = printed(table, 50)
    assert headings_in(text) == ["first", "cc"]
    assert text.count("aa = 1") == 1 and LEFT_OUT + "aa, bb; see X" in " ".join(text.split())


def test_text_is_wrapped_before_columns_are_left_out() -> None:
    table = FittedTable(optional=[("number",)])
    table.add_column("text")
    table.add_column("number", no_wrap=True)
    table.add_row("word " * 20, "12345")
    assert headings_in(printed(table, WRAPPED + 20)) == ["text", "number"]
    assert headings_in(printed(table, WRAPPED + 5)) == ["text"]
