"""Escaping of names for display."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltray.printable import printable, printable_lines


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (os.fsdecode(b"Stra\xdfe.png"), r"Stra\xdfe.png"),
        ("Straße [old] #1?.png", "Straße [old] #1?.png"),
        ("\x1b[31mred\n", r"\x1b[31mred\x0a"),
        ("a\u202eb", r"a\u202eb"),
        ("\ud800", r"\ud800"),
        ("\x7f\x80\x9f\xa0", "\\x7f\\x80\\x9f\xa0"),
        ("\u2066a\u2069\u200f", r"\u2066a\u2069\u200f"),
    ],
)
def test_printable_escapes_characters(name: str, shown: str) -> None:
    assert printable(name) == shown


@given(st.binary(min_size=1))
def test_printable_file_name_can_be_encoded_and_is_one_line(name: bytes) -> None:
    shown = printable(os.fsdecode(name))
    assert shown.encode("utf-8") and len(shown.splitlines()) <= 1


def test_printable_lines_keep_line_breaks() -> None:
    assert printable_lines("a\x1b\nb\r\n") == "a\\x1b\nb\\x0d\n"
