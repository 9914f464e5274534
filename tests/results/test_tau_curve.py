"""The post-hoc curve of τ compared with an adjusted classifier that is evaluated again."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from ltray.long_tail import LongTail
from ltray.methods.tau_norm import normalised
from ltray.parts.losses import log_prior
from ltray.results.predictions import Predictions
from ltray.results.tau_curve import adjustment_curve, norm_curve


def scores(seed: int, images: int, counts: tuple[int, ...]) -> Predictions:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(len(counts), (images,), generator=generator)
    logits = torch.randn(images, len(counts), generator=generator) + log_prior(LongTail(counts)).float()
    logits[torch.arange(images), labels] += 1.5
    return Predictions("val", logits, labels, LongTail(counts))


def again(known: Predictions, tau: float) -> Predictions:
    adjusted = known.logits.double() - tau * log_prior(known.tail)
    return Predictions("val", adjusted, known.labels, known.tail)


@given(seed=st.integers(0, 1000), images=st.integers(2, 60))
def test_every_point_of_the_curve_equals_the_adjusted_classifier(seed: int, images: int):
    known = scores(seed, images, (500, 120, 60, 25, 10, 3))
    curve = adjustment_curve(known)
    for place in (0, 40, 97, 150):
        tau = curve.lines["all"][place][0]
        metrics = again(known, tau).evaluation.metrics(known.tail, "val")
        for group, line in curve.lines.items():
            assert abs(line[place][1] - metrics[f"val/acc_{group}"]) < 1e-9
    best = again(known, curve.best).evaluation.metrics(known.tail, "val")["val/acc_all"]
    assert abs(curve.accuracy - best) < 1e-9
    assert curve.accuracy >= max(share for _, share in curve.lines["all"]) - 1e-9
    assert curve.plain == known.evaluation.metrics(known.tail, "val")["val/acc_all"]


def test_group_without_images_has_no_curve():
    known = scores(0, 40, (500, 120, 3))
    few = known.labels != 2
    curve = adjustment_curve(Predictions("val", known.logits[few], known.labels[few], known.tail))
    assert list(curve.lines) == ["all", "many"]


def test_normalisation_curve_equals_the_normalised_classifier():
    generator = torch.Generator().manual_seed(3)
    features, labels = torch.randn(300, 5, generator=generator).double(), torch.randint(4, (300,), generator=generator)
    weight = torch.randn(4, 5, generator=generator).double() * torch.tensor([3.0, 2.0, 1.0, 0.5])[:, None]
    bias = torch.randn(4, generator=generator).double()
    tail = LongTail((500, 120, 60, 3))
    known = Predictions("val", features @ weight.T + bias, labels, tail, norms=weight.norm(dim=1), bias=bias)
    curve = norm_curve(known)
    assert curve is not None
    for place in (0, 50, 150):
        tau = curve.lines["all"][place][0]
        scores = Predictions("val", features @ normalised(weight, tau).T, labels, tail)
        assert abs(curve.lines["few"][place][1] - scores.metrics()["val/acc_few"]) < 1e-9
    assert norm_curve(Predictions("val", known.logits, labels, tail)) is None
