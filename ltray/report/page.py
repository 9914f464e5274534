"""The parts of the page: style, tiles, tables, sections. All text from files is escaped."""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from ltray.printable import printable, printable_lines

STYLE = Path(__file__).with_name("style.css")


def page(title: str, body: Iterable[str]) -> str:
    """Return a complete page without external resources."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(printable(title))}</title><style>{STYLE.read_text(encoding='utf-8')}</style></head><body>\n"
        + printable_lines("\n".join(body))
        + "\n</body></html>\n"
    )


def section(heading: str, *content: str) -> str:
    """Return a section with a heading, or nothing if there is no content."""
    inner = "".join(content)
    return f"<section><h2>{escape(heading)}</h2>{inner}</section>" if inner else ""


def paragraph(text: str, kind: str = "") -> str:
    """Return a paragraph."""
    return f"<p{_class(kind)}>{escape(text)}</p>"


def tiles(pairs: Iterable[tuple[str, str]]) -> str:
    """Return pairs of a value and its meaning as a row of tiles."""
    return (
        '<div class="tiles">'
        + "".join(f'<div class="tile"><b>{escape(v)}</b><span>{escape(w)}</span></div>' for v, w in pairs)
        + "</div>"
    )


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    text_columns: Iterable[int] = (),
    kinds: Sequence[str] = (),
) -> str:
    """Return a table that scrolls horizontally on a narrow screen.

    Args:
        headings: Headings of the columns.
        rows: Their cells; "better" and "worse" are coloured.
        text_columns: Columns of text, which are aligned to the left.
        kinds: Class of each row.
    """
    left = set(text_columns)
    head = "".join(f"<th{_class('word' if i in left else '')}>{escape(h)}</th>" for i, h in enumerate(headings))
    body = []
    for place, row in enumerate(rows):
        cells = "".join(f"<td{_class(_kind(i in left, cell))}>{escape(cell)}</td>" for i, cell in enumerate(row))
        body.append(f"<tr{_class(kinds[place] if place < len(kinds) else '')}>{cells}</tr>")
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def folded(summary: str, content: str) -> str:
    """Return content that is shown on demand."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def key(pairs: Iterable[tuple[str, str]]) -> str:
    """Return a legend of (colour, meaning)."""
    return '<p class="key">' + "".join(f'<i class="{c}"></i>{escape(m)}' for c, m in pairs) + "</p>"


def grid(parts: Iterable[str], columns: int) -> str:
    """Return parts in columns if the screen is wide enough."""
    return f'<div class="grid{columns}">' + "".join(f"<div>{part}</div>" for part in parts) + "</div>"


def _kind(word: bool, cell: str) -> str:
    colour = next((name for name in ("better", "worse") if cell == name), "")
    long = "long" if word and len(cell) > 60 else "word" if word else ""
    return f"{long} {colour}".strip()


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
