"""Mixup and CutMix: every pixel comes from one of two images, and the weight is their share of the picture."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from ltray.long_tail import LongTail
from ltray.methods import METHODS
from ltray.network import Network
from ltray.parts.blending import blend, paste
from ltray.parts.losses import adjusted_cross_entropy
from ltray.stage import Batch, BuildContext
from ltray.testing.overfit import TinyBackbone

ROWS, CLASSES = 6, 4
SHARES = st.floats(0.0, 1.0)


@given(share=SHARES, y=st.floats(0.0, 0.999), x=st.floats(0.0, 0.999), height=st.integers(2, 9))
def test_a_rectangle_is_pasted_and_the_share_is_what_remains(share: float, y: float, x: float, height: int) -> None:
    images, partners = torch.zeros(ROWS, 3, height, 7), torch.ones(ROWS, 3, height, 7)
    pasted, remains = paste(images, partners, torch.tensor(share), torch.tensor([y, x], dtype=torch.float64))
    assert float(remains) == pytest.approx(1.0 - float(pasted[0, 0].mean()))
    assert torch.equal(pasted, pasted[:1, :1].expand_as(pasted)) and not images.any()
    rows, columns = pasted[0, 0].amax(dim=1), pasted[0, 0].amax(dim=0)
    assert torch.equal(pasted[0, 0], torch.outer(rows, columns))  # one rectangle
    assert float(remains) >= share - 1e-6  # its sides are rounded down and cut off at the borders


@pytest.mark.parametrize(("mixup", "cutmix"), [(1.0, 0.0), (0.0, 1.0), (0.4, 1.0)])
@given(seed=st.integers(0, 1000))
def test_labels_are_those_of_the_pixels(mixup: float, cutmix: float, seed: int) -> None:
    torch.manual_seed(seed)
    labels = torch.arange(ROWS)
    images = F.one_hot(labels, ROWS).float()[:, :, None, None].expand(-1, -1, 8, 8)
    found = blend(images, labels, mixup=mixup, cutmix=cutmix)
    first, second = found.labels
    assert torch.equal(first, labels) and torch.equal(second.sort().values, labels)
    shown = found.images.mean(dim=(2, 3))
    expected = found.weighted(F.one_hot(first, ROWS).float(), F.one_hot(second, ROWS).float())
    torch.testing.assert_close(shown, expected)


def test_both_have_half_of_the_batches() -> None:
    images, labels = torch.rand(ROWS, 3, 16, 16), torch.arange(ROWS)
    torch.manual_seed(0)
    cut = []
    for _ in range(200):
        found = blend(images, labels, mixup=1.0, cutmix=1.0).images
        from_images = (found[:, None] == images[None]).all(dim=2).flatten(2).any(dim=1).all()
        cut.append(bool(from_images))
    assert 60 < sum(cut) < 140


@given(smoothing=st.floats(0.0, 0.9), seed=st.integers(0, 99))
def test_smoothed_labels_are_soft_labels(smoothing: float, seed: int) -> None:
    torch.manual_seed(seed)
    scores, labels, adjustment = torch.randn(ROWS, CLASSES), torch.randint(CLASSES, (ROWS,)), torch.randn(CLASSES)
    soft = (1 - smoothing) * F.one_hot(labels, CLASSES) + smoothing / CLASSES
    expected = -(soft * (scores + adjustment).log_softmax(dim=1)).sum(dim=1)
    found = adjusted_cross_entropy(scores, labels, adjustment, smoothing=smoothing)
    torch.testing.assert_close(found, expected.mean())
    weight = torch.rand(CLASSES) + 0.1
    found = adjusted_cross_entropy(scores, labels, torch.zeros(CLASSES), weight=weight, smoothing=0.0)
    torch.testing.assert_close(found, F.cross_entropy(scores, labels, weight=weight))


@pytest.mark.parametrize("method", ["cross_entropy", "balanced_softmax", "logit_adjustment"])
@pytest.mark.parametrize("knobs", [{"mixup": 0.5}, {"cutmix": 0.5}, {"mixup": 0.5, "label_smoothing": 0.2}])
def test_the_loss_is_that_of_the_blended_images_under_soft_labels(method: str, knobs: dict[str, float]) -> None:
    recipe = METHODS[method].knobs.resolve("default", dict(knobs))
    tail = LongTail((8, 4, 2, 2))
    context = BuildContext(tail, lambda kind: Network(TinyBackbone(), nn.Linear(16, CLASSES)))
    (stage,) = METHODS[method].stages(recipe, context)
    images, labels = torch.randn(ROWS, 3, 8, 8), torch.tensor([0, 1, 2, 3, 1, 0])
    torch.manual_seed(3)
    found = stage(Batch({"image": images}, labels, torch.arange(ROWS)))["classification"]
    torch.manual_seed(3)
    blended = blend(images, labels, mixup=recipe.mixup, cutmix=recipe.cutmix)
    soft = blended.weighted(*(F.one_hot(each, CLASSES).float() for each in blended.labels))
    soft = (1 - recipe.label_smoothing) * soft + recipe.label_smoothing / CLASSES
    scores = stage.network(blended.images) + stage.adjustment
    torch.testing.assert_close(found, F.cross_entropy(scores.double(), soft.double()).float(), rtol=1e-4, atol=1e-5)
