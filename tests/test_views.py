"""The contact sheet: the original and two draws of every view of the first stage."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from ltray import example_views, views
from ltray.contact_sheet import GAP, MARGIN, ROWS, TEXT
from ltray.data.definition import DatasetDefinition
from ltray.errors import UsageError

CELL = 96 + GAP


def sheet(tmp_path: Path, method: str, *settings: str) -> np.ndarray:
    output = tmp_path / "sheet.png"
    assert views.main(["digits-lt", method, "--output", str(output), *settings]) == 0
    return np.array(Image.open(output))


@pytest.mark.parametrize(("method", "cells"), [("rescom", 2), ("bcl", 3), ("crt", 1)])
def test_contact_sheet_shows_every_view_twice(method: str, cells: int, tmp_path: Path) -> None:
    pixels = sheet(tmp_path, method)
    assert pixels.shape == (
        TEXT + CELL * ROWS,
        MARGIN + CELL * (1 + 2 * cells),
        3,
    )


def cell(pixels: np.ndarray, row: int, column: int) -> np.ndarray:
    top, left = TEXT + CELL * row, MARGIN + CELL * column
    return pixels[top : top + 96, left : left + 96]


def test_contact_sheet_shows_the_unchanged_original_and_different_draws(tmp_path: Path) -> None:
    pixels, again = sheet(tmp_path, "rescom"), sheet(tmp_path, "rescom")
    assert np.array_equal(pixels, again)
    other = sheet(tmp_path, "rescom", "seed=1")
    for row in range(ROWS):
        assert np.array_equal(cell(pixels, row, 0), cell(other, row, 0))
    drawn = [np.stack([cell(p, row, column) for row in range(ROWS)]) for p in (pixels, other) for column in (1, 3)]
    assert all(not np.array_equal(a, b) for i, a in enumerate(drawn) for b in drawn[:i])


def test_contact_sheet_shows_patches_and_their_boxes(tmp_path: Path) -> None:
    pixels = sheet(tmp_path, "dscl", "patches=3")
    assert pixels.shape[1] == MARGIN + CELL * (1 + 2 * (2 + 3))
    red = (pixels == (255, 0, 0)).all(axis=2)  # digits are gray: only boxes are red
    assert red[:, MARGIN + CELL : MARGIN + 2 * CELL].any()
    assert not red[:, MARGIN + 2 * CELL : MARGIN + 6 * CELL].any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rescomm"], "Did you mean `rescom`?"),
        (["rescom", "queue_sise=4"], "Did you mean `queue_size`?"),
        (["rescom", "backbone=resnet50"], "`backbone` has no effect on views"),
    ],
)
def test_mistake_is_reported(arguments: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        views.main(["digits-lt", *arguments])
    assert message in str(caught.value)


def test_unreadable_image_is_named_with_the_reason() -> None:
    gone = SimpleNamespace(name=str, read=lambda index: open(f"/nowhere/{index}.png", "rb"))
    with pytest.raises(UsageError, match=r"the last error is: 7: No such file or directory\.$"):
        example_views._first_readable(gone, np.array([3, 7]), DatasetDefinition.read("digits-lt").storage)
