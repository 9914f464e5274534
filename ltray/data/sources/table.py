"""Tables of text: CSV and TSV with any usual delimiter, and JSON lines; the line of each row is recorded."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltray.data.image_files import is_image
from ltray.errors import UsageError
from ltray.files import read_bytes, reading
from ltray.printable import printable

LIMIT = 1 << 30  # bytes of a table
SUFFIXES = (".csv", ".tsv", ".tab", ".jsonl", ".ndjson")
"""Suffixes of tables, in lower case."""
_JSON = (".jsonl", ".ndjson")
_DELIMITERS = ",;\t|"
_SAMPLE = 20  # records that decide the delimiter
_BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}  # Excel's "Unicode text"

Record = tuple[int, list[str]]
"""The first line of a record, from 1, and its cells."""


def is_table(path: Path) -> bool:
    """Return whether a file is a table, by its name."""
    return path.suffix.lower() in SUFFIXES


@dataclass(frozen=True)
class Table:
    """The content of a table; cells have no spaces around them, and missing ones are empty.

    Attributes:
        path: The file.
        columns: The headings; "1", "2", … if the table has none.
        rows: The cells of each row (n), one for each column.
        lines: The line of each row (n), from 1.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]

    @classmethod
    def read(cls, path: Path) -> "Table":
        """Read a table; the suffix distinguishes JSON lines and CSV.

        Raises:
            UsageError: It cannot be read, or a row has another number of cells; the message contains the line.
        """
        text = _text(path)
        records = _of_json(path, text) if path.suffix.lower() in _JSON else _of_csv(path, text)
        if not records:
            raise UsageError(f"{printable(path)}: is empty; it needs a row for each image.")
        columns, body = _heading(path, records)
        for line, cells in body:
            if len(cells) != len(columns):
                raise UsageError(
                    f"{printable(path)}, line {line}: has {len(cells)} cells, but the first row has {len(columns)}; "
                    'put cells that contain the delimiter in quotes ("a, b").'
                )
        if not body:
            raise UsageError(f"{printable(path)}: has a heading, but no rows; it needs a row for each image.")
        return cls(path, columns, tuple(tuple(cells) for _, cells in body), tuple(line for line, _ in body))

    def column(self, name: str) -> list[str]:
        """Return the cells of a column."""
        place = self.columns.index(name)
        return [row[place] for row in self.rows]


def _text(path: Path) -> str:
    content = read_bytes(path, limit=LIMIT)
    encoding = _BYTE_ORDER_MARKS.get(content[:2], "")
    if encoding:
        with reading(path):
            return content.decode(encoding)
    if b"\0" in content:
        raise UsageError(f"{printable(path)}: is not a text file (it contains NUL bytes); save it as CSV in UTF-8.")
    # Bytes that are not UTF-8 are kept, because the name of the file contains the same bytes.
    return content.decode("utf-8-sig", "surrogateescape")


def _of_csv(path: Path, text: str) -> list[Record]:
    skipped = 0
    if text[:4].lower() == "sep=" and text[4:5] and text[5:6] in ("\r", "\n"):  # a line that Excel writes
        delimiter, skipped = text[4], 1
        text = text[6:].removeprefix("\n")
    elif path.suffix.lower() in (".tsv", ".tab"):
        delimiter = "\t"
    else:
        delimiter = _delimiter(text)
    with reading(path, "not a table of comma-separated values"):
        return [(line + skipped, cells) for line, cells in _records(text, delimiter)]


def _records(text: str, delimiter: str) -> Iterator[Record]:
    """Yield the records that are not empty; a quoted cell may contain line breaks."""
    csv.field_size_limit(LIMIT)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    line = 1
    for cells in reader:
        if any(cell.strip() for cell in cells):
            yield line, [cell.strip() for cell in cells]
        line = reader.line_num + 1


def _delimiter(text: str) -> str:
    """Return the delimiter with which the first records have the same number of cells, and the most cells."""

    def fit(delimiter: str) -> tuple[bool, int]:
        counts = []
        try:
            for number, (_, cells) in enumerate(_records(text, delimiter)):
                counts.append(len(cells))
                if number == _SAMPLE:
                    break
        except csv.Error:
            pass  # reported when the table is read
        return len(set(counts)) == 1 and counts[0] > 1, counts[0] if counts else 0

    return max(_DELIMITERS, key=fit)


def _heading(path: Path, records: Sequence[Record]) -> tuple[tuple[str, ...], Sequence[Record]]:
    """Return the columns and the records below them; columns are numbered if the first row contains an image's path."""
    first = records[0][1]
    if any(is_image(cell) for cell in first):
        return tuple(str(number + 1) for number in range(len(first))), records
    names = tuple(cell or str(number + 1) for number, cell in enumerate(first))
    twice = next((name for number, name in enumerate(names) if name in names[:number]), None)
    if twice is not None:
        raise UsageError(
            f"{printable(path)}, line {records[0][0]}: two columns have the name `{printable(twice)}`; rename one."
        )
    return names, records[1:]


def _of_json(path: Path, text: str) -> list[Record]:
    """Return the objects of JSON lines as records below a heading of all their keys."""
    found: list[tuple[int, dict[str, Any]]] = []
    columns: dict[str, None] = {}
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        with reading(f"{path}, line {line}", "not valid JSON"):
            one = json.loads(content)
        if not isinstance(one, dict):
            raise UsageError(
                f'{printable(path)}, line {line}: must be an object, such as {{"file_name": "a.png", "label": "cat"}}, '
                f"but is {printable(content.strip())[:80]}."
            )
        found.append((line, one))
        columns |= dict.fromkeys(one)
    rows = [(line, [_cell(one.get(name)) for name in columns]) for line, one in found]
    return [(0, list(columns)), *rows] if found else []


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value.strip() if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
