"""Names in pictures: drawn or escaped, never wider than there is room, never two lines."""

from hypothesis import given
from hypothesis import strategies as st

from ltray.captions import caption, width


def test_what_the_font_has_is_drawn_and_the_rest_escaped() -> None:
    assert caption("Größe", widest=300) in ("Größe", "Gr\\xf6\\xdfe")  # as Pillow's font has it
    assert caption("学", widest=300) == "\\u5b66"
    assert caption("a\n\x1b[31m\udce4", widest=300) == "a\\x0a\\x1b[31m\\xe4"


def test_a_long_name_keeps_its_ends() -> None:
    found = caption("Canis_lupus_" + "x" * 500 + "_arctos", widest=120)
    assert found.startswith("Canis_lup") and found.endswith("_arctos") and "…" in found and 100 < width(found) <= 120


@given(st.text(), st.integers(40, 400))
def test_a_caption_fits_into_its_room(name: str, room: int) -> None:
    found = caption(name, widest=room)
    assert width(found) <= room and "\n" not in found


def test_a_name_that_is_one_pixel_too_wide_is_cut() -> None:
    name = "snow leopard"
    assert caption(name, widest=width(name)) == name
    assert "…" in caption(name, widest=width(name) - 1)
