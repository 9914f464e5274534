"""The regular simplex and the distance from it."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ltray.analysis.simplex import cosines, least_simplex_distance, off_diagonal, regular_simplex, simplex_distance


@given(st.integers(2, 40), st.floats(0.01, 100))
def test_simplex_has_distance_zero(classes: int, length: float) -> None:
    rows = regular_simplex(classes)
    assert off_diagonal(cosines(rows)).flatten().tolist() == pytest.approx(
        [-1 / (classes - 1)] * (classes * (classes - 1))
    )
    turned = rows @ torch.linalg.qr(torch.randn(classes, classes, dtype=torch.float64)).Q
    assert simplex_distance(turned * length) == pytest.approx(0.0, abs=1e-7)


@given(st.integers(2, 40))
def test_equal_rows_have_the_distance_of_the_square_root(classes: int) -> None:
    assert simplex_distance(torch.ones(classes, 3)) == pytest.approx(math.sqrt(classes))


@given(st.integers(2, 12), st.integers(1, 12), st.integers(0, 1000))
def test_no_rows_are_nearer_than_the_width_permits(classes: int, width: int, seed: int) -> None:
    torch.manual_seed(seed)
    assert simplex_distance(torch.randn(classes, width)) >= least_simplex_distance(classes, width) - 1e-9


def test_tight_frames_attain_the_least_distance() -> None:
    angles = torch.arange(6) * math.pi / 3
    hexagon = torch.stack([angles.cos(), angles.sin()], dim=1)
    assert simplex_distance(hexagon) == pytest.approx(least_simplex_distance(6, 2), abs=1e-6)
    assert least_simplex_distance(6, 5) == 0.0 and least_simplex_distance(6, 2) == pytest.approx(math.sqrt(1.5))


@given(st.integers(0, 1000), st.permutations(range(6)))
def test_order_of_the_classes_does_not_matter(seed: int, order: list[int]) -> None:
    torch.manual_seed(seed)
    rows = torch.randn(6, 4)
    assert simplex_distance(rows[order]) == pytest.approx(simplex_distance(rows))
