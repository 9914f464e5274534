"""Sizes, hours and counts are shown with common units and without exponents."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltray.quantities import file_size, hours, number, plural

UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (hours(1160.4, "CPU"), "1,160 CPU hours"),
        (hours(0.5, "GPU"), "30 GPU minutes"),
        (hours(0.001, "CPU"), "3.6 CPU seconds"),
        (hours(0, "CPU"), "0 CPU seconds"),
        (file_size(74_271e6), "69.2 GiB"),
        (file_size(0), "0 B"),
        (file_size(1023), "0.999 KiB"),
        (file_size(2**60), "1,050,000 TiB"),
        (number(12345), "12,300"),
        (number(0.012345), "0.0123"),
        (number(100), "100"),
        (plural(1, "image"), "1 image"),
        (plural(1200, "image"), "1,200 images"),
    ],
)
def test_quantities_as_text(text: str, expected: str) -> None:
    assert text == expected


@given(st.floats(min_value=1e-6, max_value=1e15))
def test_number_has_three_digits_and_no_exponent(value: float) -> None:
    text = number(value)
    assert re.fullmatch(r"\d{1,3}(,\d{3})*(\.\d+)?", text)
    assert float(text.replace(",", "")) == pytest.approx(value, rel=5.1e-3)


@given(st.integers(min_value=0, max_value=2**50))
def test_file_size_is_accurate_to_three_digits(count: int) -> None:
    value, unit = file_size(count).split(" ")
    assert float(value.replace(",", "")) * UNITS[unit] == pytest.approx(count, rel=5.1e-3)
    assert float(value.replace(",", "")) < 1000 or unit == "TiB"


@given(st.floats(min_value=0, max_value=1e7))
def test_hours_are_accurate_to_three_digits(count: float) -> None:
    value, device, unit = hours(count, "CPU").split(" ")
    assert device == "CPU"
    seconds = float(value.replace(",", "")) * {"hours": 3600, "minutes": 60, "seconds": 1}[unit]
    assert seconds == pytest.approx(3600 * count, rel=5.1e-3, abs=1e-6)
