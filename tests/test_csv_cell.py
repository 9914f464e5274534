"""Cells of CSV files: not executed as formulas, numbers unchanged, read by pandas unchanged."""

import io

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltray.csv_cell import csv_cell

FORMULA = "=+-@\t\r\n＝＋－＠"


@given(st.sampled_from(FORMULA), st.text())
def test_cell_never_begins_a_formula(first: str, rest: str) -> None:
    cell = csv_cell(first + rest)
    assert cell[0] not in FORMULA or cell == str(cell).strip() and float(cell) == float(cell)


@pytest.mark.parametrize("text", ["-5", "+0.25", "-1e-3"])
def test_cell_keeps_numbers(text: str) -> None:
    assert csv_cell(text) == text and csv_cell(-0.5) == -0.5 and csv_cell(None) is None


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("-rf", "'-rf"),
        (" =1+1", "' =1+1"),
        ("-inf", "'-inf"),
        ("Straße", "Straße"),
        ("a\nb\x1b[31m", "a\\x0ab\\x1b[31m"),
        ("\udce4", "\\xe4"),
    ],
)
def test_cell_of_text(text: str, cell: str) -> None:
    assert csv_cell(text) == cell


@given(st.text(min_size=1))
def test_pandas_reads_cells_unchanged(text: str) -> None:
    table = pd.DataFrame({"name": [csv_cell(text)], "n": [1]})
    found = pd.read_csv(io.StringIO(table.to_csv(index=False)), dtype=str, keep_default_na=False)
    assert found["name"].to_list() == [csv_cell(text)]
