"""DLSA's separation experiment: how much accuracy a separation of head and tail would gain, by its reliability.

Source: DLSA (arXiv:2208.02567), Fig. 2 and supplement: an oracle sends each image to the side of its class, head or
tail, with probability p; each side has a separate classifier. The paper trains networks; here the classifiers are
linear ones on features of a trained network.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ltray.parts.counts import class_counts

BATCH = 512
LEARNING_RATE = 1e-2
STEPS = 600


@dataclass(frozen=True)
class LabelledFeatures:
    """Features with their labels.

    Attributes:
        features: Features (N, d), float32.
        labels: Classes (N,).
    """

    features: Tensor
    labels: Tensor

    def chosen(self, rows: Tensor) -> "LabelledFeatures":
        """Return the rows with these indices, or where a mask is true."""
        return LabelledFeatures(self.features[rows], self.labels[rows])


def balancing_reliability(counts: Tensor, tail: Tensor) -> float:
    """Return N_head/N, the p above which the tail side has more tail images than head images.

    Below it, most images on both sides are of head classes, and separate classifiers remain biased towards them.

    Args:
        counts: Training images of each class (K,).
        tail: Which classes are tail classes, bool (K,).
    """
    return float(counts[~tail].sum() / counts.sum())


def sides(labels: Tensor, tail: Tensor, reliability: float, *, seed: int) -> Tensor:
    """Return on which side the oracle puts each image, True for the tail side, bool (N,).

    Args:
        labels: Classes (N,).
        tail: Which classes are tail classes, bool (K,).
        reliability: p, the probability of the side of the image's class.
        seed: Of the draws.
    """
    generator = torch.Generator().manual_seed(seed)
    right = torch.rand(len(labels), generator=generator).to(labels.device) < reliability
    return tail[labels] == right


def separated_accuracy(
    train: LabelledFeatures, test: LabelledFeatures, tail: Tensor, reliability: float, *, seed: int, steps: int = STEPS
) -> Tensor:
    """Return the accuracy of each class (K,) with a classifier for each side; NaN for a class without test images.

    Args:
        train: Training features.
        test: Features of other images.
        tail: Which classes are tail classes, bool (K,).
        reliability: p.
        seed: Of the oracle and of the classifiers.
        steps: Steps of each classifier.
    """
    right = torch.zeros(len(test.labels), dtype=torch.bool, device=test.labels.device)
    train_side = sides(train.labels, tail, reliability, seed=seed)
    test_side = sides(test.labels, tail, reliability, seed=seed + 1)
    for side in (False, True):
        own, asked = train.chosen(train_side == side), test_side == side
        if len(own.labels) and bool(asked.any()):
            found = linear_predictions(own, test.features[asked], classes=len(tail), seed=seed, steps=steps)
            right[asked] = found == test.labels[asked]
    return class_accuracy(right, test.labels, len(tail))


def class_accuracy(right: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return the share of right answers of each class (K,), float64; NaN for a class without images."""
    return class_counts(labels[right], classes).double() / class_counts(labels, classes).double()


def linear_predictions(
    train: LabelledFeatures, features: Tensor, *, classes: int, seed: int, steps: int = STEPS
) -> Tensor:
    """Return the classes (M,) that a linear classifier predicts, trained by cross-entropy with Adam.

    Args:
        train: Training features; they are standardised.
        features: Features to classify (M, d).
        classes: K.
        seed: Of the order.
        steps: Steps; the learning rate falls to 0 along a half cosine.
    """
    mean, scale = train.features.mean(dim=0), train.features.std(dim=0, correction=0).clamp(min=1e-6)
    inputs = (train.features - mean) / scale
    weight = inputs.new_zeros(classes, inputs.shape[1]).requires_grad_()
    bias = inputs.new_zeros(classes).requires_grad_()
    optimizer = torch.optim.Adam([weight, bias], lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator().manual_seed(seed)
    with torch.enable_grad():
        for _ in range(steps):
            rows = torch.randint(len(inputs), (BATCH,), generator=generator).to(inputs.device)
            optimizer.zero_grad()
            loss = F.cross_entropy(F.linear(inputs[rows], weight, bias), train.labels[rows])
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
    return F.linear((features - mean) / scale, weight, bias).argmax(dim=1)
