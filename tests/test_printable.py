"""Names as they are shown."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltray.printable import printable


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (os.fsdecode(b"Stra\xdfe.png"), r"Stra\xdfe.png"),
        ("Straße [old] #1?.png", "Straße [old] #1?.png"),
        ("\x1b[31mred\n", r"\x1b[31mred\x0a"),
        ("a\u202eb", r"a\u202eb"),
        ("\ud800", r"\ud800"),
    ],
)
def test_printable(name: str, shown: str) -> None:
    assert printable(name) == shown


@given(st.binary(min_size=1))
def test_any_name_of_a_file_can_be_encoded_and_stays_in_its_line(name: bytes) -> None:
    shown = printable(os.fsdecode(name))
    assert shown.encode("utf-8") and len(shown.splitlines()) <= 1
