"""Accuracy under another class prior: equal to that of test images drawn with it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ltray.engine.evaluation import Evaluation
from ltray.results.label_shift import SHIFTS, shifted_accuracies, shifted_prior


def evaluation(correct: list[int], seen: list[int]) -> Evaluation:
    return Evaluation(torch.tensor(correct), torch.tensor(seen), torch.tensor(seen))


def test_priors_equal_those_of_lade() -> None:
    forward = shifted_prior([500, 50, 5], "forward50")
    assert torch.allclose(forward, torch.tensor([50, 50**0.5, 1.0], dtype=torch.float64) / (51 + 50**0.5))
    assert torch.equal(shifted_prior([5, 50, 500], "forward50"), forward.flip(0))
    assert torch.allclose(shifted_prior([500, 50, 5], "backward50"), forward.flip(0))
    assert SHIFTS[0] == "forward50" and SHIFTS[5] == "uniform" and SHIFTS[-1] == "backward50" and len(SHIFTS) == 11


@given(st.lists(st.integers(1, 900), min_size=2, max_size=30), st.sampled_from(SHIFTS))
def test_prior_is_a_distribution_with_the_factor_of_its_name(counts: list[int], name: str) -> None:
    prior = shifted_prior(counts, name)
    factor = 1 if name == "uniform" else int("".join(filter(str.isdigit, name)))
    assert float(prior.sum()) == pytest.approx(1) and float(prior.max() / prior.min()) == pytest.approx(factor)
    order = sorted(range(len(counts)), key=lambda label: -counts[label])
    ordered = prior[order] if name.startswith("forward") else prior[order].flip(0)
    assert bool((ordered.diff() <= 1e-15).all())


def test_reweighed_accuracy_equals_that_of_a_test_set_with_the_prior() -> None:
    counts, recall = [500, 5], [0.9, 0.4]
    by_name = {one.name: one for one in shifted_accuracies(evaluation([90, 40], [100, 100]), counts)}
    for factor in (50, 2):
        drawn = (factor * 100 * recall[0] + 100 * recall[1]) / (factor * 100 + 100)
        assert by_name[f"forward{factor}"].accuracy == pytest.approx(drawn)
        reverse = (100 * recall[0] + factor * 100 * recall[1]) / (factor * 100 + 100)
        assert by_name[f"backward{factor}"].accuracy == pytest.approx(reverse)
    unbalanced = shifted_accuracies(evaluation([900, 4], [1000, 10]), counts)
    assert [one.accuracy for one in unbalanced] == pytest.approx([one.accuracy for one in by_name.values()])
    assert unbalanced[-1].standard_error > 2 * by_name["backward50"].standard_error


def test_standard_error_with_uniform_prior_is_that_of_balanced_accuracy() -> None:
    found = evaluation([3, 9, 1], [10, 10, 4])
    uniform = shifted_accuracies(found, [9, 5, 2])[SHIFTS.index("uniform")]
    counts = found._evaluated("", None)  # type: ignore[arg-type]
    assert uniform.accuracy == pytest.approx(counts.mean_recall())
    assert uniform.standard_error == pytest.approx(counts.mean_recall_error())


def test_classes_without_images_are_excluded() -> None:
    found = shifted_accuracies(evaluation([8, 0, 3], [10, 0, 10]), [9, 5, 2])
    assert found[SHIFTS.index("uniform")].accuracy == pytest.approx(0.55)
