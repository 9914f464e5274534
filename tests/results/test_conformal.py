"""Conformal sets: coverage of each class, monotony, order, and classes with too few images."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ltray.results.conformal import ConformalSets, rank


def drawn(seed: int, counts: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return probabilities of a noisy classifier and labels, `counts[k]` of class k."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    logits = torch.randn(len(labels), len(counts), generator=generator, dtype=torch.float64)
    logits[torch.arange(len(labels)), labels] += 1.0
    return torch.softmax(logits, dim=1), labels


@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_every_class_has_the_requested_coverage(coverage):
    counts, new = [12, 25, 60], 40
    covered = torch.zeros(len(counts))
    for seed in range(200):
        sets = ConformalSets.of(*drawn(seed, counts), coverage)
        probabilities, labels = drawn(10_000 + seed, [new] * len(counts))
        own = probabilities.gather(1, labels.unsqueeze(1)).squeeze(1)
        covered += (own >= sets.thresholds[labels]).view(len(counts), new).float().mean(dim=1)
    for n, share in zip(counts, (covered / 200).tolist(), strict=True):
        # The exact mean is rank / (n + 1): a lower bound that is, without ties, nearly exact.
        assert share == pytest.approx(rank(n, coverage) / (n + 1), abs=0.025)
        assert rank(n, coverage) / (n + 1) >= coverage


@given(st.integers(0, 10**6), st.lists(st.integers(0, 30), min_size=2, max_size=4).filter(any))
def test_larger_coverage_gives_larger_sets_for_any_order_of_rows(seed, counts):
    probabilities, labels = drawn(seed, counts)
    found = [ConformalSets.of(probabilities, labels, share) for share in (0.5, 0.7, 0.9, 0.99)]
    for row in drawn(seed + 1, [2] * len(counts))[0]:
        sets = [set(one.members(row)) for one in found]
        assert all(small <= large for small, large in zip(sets, sets[1:], strict=False))
    mixed = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    again = ConformalSets.of(probabilities[mixed], labels[mixed], 0.7)
    assert torch.equal(again.thresholds, found[1].thresholds) and torch.equal(again.images, found[1].images)


@pytest.mark.parametrize(("coverage", "needed"), [(0.9, 9), (0.95, 19), (0.8, 4), (0.5, 1), (0.99, 99), (0.7, 3)])
def test_class_needs_as_many_images_as_the_quantile(coverage, needed):
    sets = ConformalSets.of(*drawn(0, [needed, needed - 1]), coverage)
    assert sets.needed == needed and sets.always == [1]
    assert rank(needed, coverage) <= needed and rank(needed - 1, coverage) > needed - 1
    assert 1 in sets.members([1.0, 0.0])


def test_threshold_is_a_score_of_a_validation_image():
    own = torch.tensor([0.9, 0.8, 0.7, 0.6], dtype=torch.float64)
    probabilities = torch.stack([own, 1 - own], dim=1)
    sets = ConformalSets.of(probabilities, torch.zeros(4, dtype=torch.int64), 0.6)  # ⌈5 · 0.6⌉ = 3: the third
    assert sets.thresholds.tolist() == [0.7, 0.0]
    assert sets.members([0.7, 0.3]) == [0, 1] and sets.members([0.69, 0.31]) == [1]
