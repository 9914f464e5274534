"""Captions of images: characters are drawn or escaped; a caption fits its width and is one line."""

from hypothesis import given
from hypothesis import strategies as st

from ltray.captions import caption, width


def test_caption_escapes_characters_missing_in_the_font() -> None:
    assert caption("Größe", widest=300) in ("Größe", "Gr\\xf6\\xdfe")  # depending on Pillow's font
    assert caption("学", widest=300) == "\\u5b66"
    assert caption("a\n\x1b[31m\udce4", widest=300) == "a\\x0a\\x1b[31m\\xe4"


def test_caption_shortens_a_long_name_in_the_middle() -> None:
    found = caption("Canis_lupus_" + "x" * 500 + "_arctos", widest=120)
    assert found.startswith("Canis_lup") and found.endswith("_arctos") and "…" in found and 100 < width(found) <= 120


@given(st.text(), st.integers(40, 400))
def test_caption_is_never_wider_than_the_limit(name: str, room: int) -> None:
    found = caption(name, widest=room)
    assert width(found) <= room and "\n" not in found


def test_caption_shortens_a_name_one_pixel_too_wide() -> None:
    name = "snow leopard"
    assert caption(name, widest=width(name)) == name
    assert "…" in caption(name, widest=width(name) - 1)
