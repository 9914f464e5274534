"""The exact search compared with argmax on a fine grid."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ltray.parts.exact_search import correct_range, most_correct


def _problem(seed, images=40, classes=5):
    random = torch.Generator().manual_seed(seed)
    intercepts = torch.randn(images, classes, generator=random, dtype=torch.float64)
    slopes = torch.randn(classes, generator=random, dtype=torch.float64)
    return intercepts, slopes, torch.randint(classes, (images,), generator=random)


@given(st.integers(0, 2**31), st.floats(-3.0, 3.0))
def test_image_is_correct_exactly_inside_its_range(seed, tau):
    intercepts, slopes, labels = _problem(seed)
    low, high = correct_range(intercepts, slopes, labels)
    correct = (intercepts - tau * slopes).argmax(dim=1) == labels
    clear = ((low - tau).abs() > 1e-9) & ((high - tau).abs() > 1e-9)
    assert torch.equal(((low < tau) & (tau < high))[clear], correct[clear])


@given(st.integers(0, 2**31))
def test_no_grid_point_is_better_than_the_exact_choice(seed):
    intercepts, slopes, labels = _problem(seed)
    tau = most_correct(*correct_range(intercepts, slopes, labels), start=-2.0, stop=2.0)
    assert -2.0 <= tau <= 2.0

    def hits(at):
        return int(((intercepts - at * slopes).argmax(dim=1) == labels).sum())

    assert hits(tau) >= max(hits(at) for at in np.linspace(-2.0, 2.0, 401))


@given(st.integers(0, 2**31))
def test_the_grid_choice_is_the_first_best_grid_point(seed):
    intercepts, slopes, labels = _problem(seed)
    tau = most_correct(*correct_range(intercepts, slopes, labels), start=0.0, stop=2.0, step=0.1)
    hits = [int(((intercepts - at * slopes).argmax(dim=1) == labels).sum()) for at in torch.arange(21) * 0.1]
    assert tau == pytest.approx(0.1 * int(np.argmax(hits)))


def test_ties_count_for_the_first_class():
    intercepts = torch.zeros(2, 2, dtype=torch.float64)
    low, high = correct_range(intercepts, torch.ones(2, dtype=torch.float64), torch.tensor([0, 1]))
    assert (low[0].item(), high[0].item()) == (-math.inf, math.inf)
    assert low[1] >= high[1]


def test_equal_range_ends_give_that_value():
    low, high = torch.tensor([0.5], dtype=torch.float64), torch.tensor([0.7], dtype=torch.float64)
    assert most_correct(low, high, start=1.25, stop=1.25) == 1.25


def test_middle_of_the_widest_best_interval_is_chosen():
    low, high = torch.tensor([0.0, 1.0], dtype=torch.float64), torch.tensor([0.5, 2.0], dtype=torch.float64)
    assert most_correct(low, high, start=-1.0, stop=3.0) == 1.5


def test_images_that_are_never_correct_have_no_influence():
    low, high = torch.tensor([1.0, 9.0], dtype=torch.float64), torch.tensor([2.0, 3.0], dtype=torch.float64)
    assert most_correct(low, high, start=0.0, stop=4.0) == 1.5
