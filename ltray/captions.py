"""Names in images: characters that the font does not have are escaped, names that are too long are shortened."""

from functools import cache

from PIL import Image, ImageDraw, ImageFont

from ltray.printable import printable

_NO_CHARACTER = "\uffff"  # fonts draw their symbol for a missing glyph


def caption(name: str, *, widest: int) -> str:
    r"""Return a name as it is drawn in the default font.

    Args:
        name: Any text; a line end becomes `\x0a`.
        widest: Its largest width in pixels.
    """
    shown = "".join(character if _is_drawn(character) else _escaped(character) for character in printable(name))
    if width(shown) <= widest:
        return shown
    kept = len(shown)
    while kept > 1 and width(_cut(shown, kept)) > widest:
        kept = min(kept - 1, kept * widest // width(_cut(shown, kept)) + 1)
    return _cut(shown, kept)


def width(text: str) -> int:
    """Return the width of a line in the default font, in pixels."""
    return int(_font().getlength(text)) + 1


def _cut(text: str, kept: int) -> str:
    """Return a text with the first and last of `kept` characters around an ellipsis."""
    first = (kept + 1) // 2
    return f"{text[:first]}…{text[len(text) - (kept - first) :]}"


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default()


@cache
def _is_drawn(character: str) -> bool:
    if character.isascii():
        return True
    try:
        return _drawn(character) != _drawn(_NO_CHARACTER)
    except UnicodeEncodeError:  # a font with only Latin-1, if Pillow has no FreeType
        return False


def _drawn(character: str) -> bytes:
    """Return the pixels of a character."""
    picture = Image.new("L", (40, 40))
    ImageDraw.Draw(picture).text((4, 4), character, fill=255, font=_font())
    return picture.tobytes()


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
