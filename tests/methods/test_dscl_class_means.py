"""Running class means: first the mean, then a moving average, equal for any number of workers."""

import torch
from torch import Tensor

from ltray.distributed import rank, world_size
from ltray.methods.dscl.class_means import MEMORY, ClassMeans

FEATURES = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([2, 0, 2, 2, 0, 1])


def test_first_step_sets_the_means_and_the_next_updates_them() -> None:
    means = ClassMeans(4, classes=4)
    means.update(FEATURES, LABELS)
    rows = torch.nn.functional.normalize(FEATURES, dim=1)
    first = rows[LABELS == 2].mean(dim=0)
    torch.testing.assert_close(means.means[2], first)
    means.update(FEATURES[:1], LABELS[:1])
    torch.testing.assert_close(means.means[2], MEMORY * first + (1 - MEMORY) * rows[0])
    torch.testing.assert_close(means.means[0], rows[LABELS == 0].mean(dim=0))


def test_scores_are_cosines_and_zero_for_unseen_classes() -> None:
    means = ClassMeans(4, classes=4)
    assert means(FEATURES).tolist() == [[0.0] * 4] * 6
    means.update(FEATURES, LABELS)
    scores = means(FEATURES)
    assert scores[:, 3].tolist() == [0.0] * 6
    assert scores.abs().max() <= 1.0 + 1e-6
    torch.testing.assert_close(scores[5, 1], torch.tensor(1.0))  # the only image of its class


def test_scores_do_not_depend_on_the_feature_norm() -> None:
    plain, scaled = ClassMeans(4, classes=3), ClassMeans(4, classes=3)
    plain.update(FEATURES, LABELS)
    scaled.update(FEATURES * 7.0, LABELS)
    torch.testing.assert_close(plain.means, scaled.means)


def update_own_rows() -> Tensor:
    means = ClassMeans(4, classes=3)
    share = len(LABELS) // world_size()
    mine = slice(rank() * share, (rank() + 1) * share)
    means.update(FEATURES[mine], LABELS[mine])
    return means.means


def test_workers_equal_one_process(two_workers) -> None:
    alone = update_own_rows()
    for found in two_workers.run(update_own_rows):
        torch.testing.assert_close(found, alone)
