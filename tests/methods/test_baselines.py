"""Cross-entropy, Balanced Softmax and logit adjustment: one stage, three adjustments."""

import pytest
import torch
import torch.nn.functional as F

from ltray.methods import METHODS
from ltray.stage import Batch

COUNTS = (30, 12, 5, 2)


def stage_of(name: str, new_context, **knobs):
    method = METHODS[name]
    (stage,) = method.stages(method.knobs.resolve("cifar100_lt", knobs), new_context(COUNTS, width=5))
    return stage


@pytest.mark.parametrize(
    ("name", "knobs", "share"),
    [
        ("cross_entropy", {}, 0.0),
        ("balanced_softmax", {}, 1.0),
        ("logit_adjustment", {}, 1.0),
        ("logit_adjustment", {"adjustment": 0.3}, 0.3),
    ],
)
def test_training_scores_include_their_fraction_of_the_prior(new_context, name: str, knobs: dict, share: float) -> None:
    stage = stage_of(name, new_context, **knobs)
    rows, labels = torch.randn(6, 5), torch.tensor([0, 1, 2, 3, 0, 0])
    terms = stage(Batch({"image": rows}, labels, torch.arange(6)))
    prior = torch.tensor(COUNTS) / sum(COUNTS)
    expected = F.cross_entropy(stage.network(rows) + share * prior.log(), labels)
    torch.testing.assert_close(terms, {"classification": expected})


@pytest.mark.parametrize("name", ["cross_entropy", "balanced_softmax", "logit_adjustment"])
def test_prediction_uses_plain_scores(new_context, name: str) -> None:
    stage, rows = stage_of(name, new_context), torch.randn(6, 5)
    torch.testing.assert_close(stage.logits(rows), stage.network(rows))


def test_augmentation_is_a_knob(new_context) -> None:
    for choice, policy in (("standard", "standard"), ("strong", "bcl_classify")):
        (view,) = stage_of("balanced_softmax", new_context, augmentation=choice).views
        assert (view.name, view.augmentation) == ("image", policy)


def test_cifar_recipe_equals_that_of_ldam_drw() -> None:
    knobs = METHODS["cross_entropy"].knobs.defaults("cifar100_lt")
    assert (knobs.epochs, knobs.batch_size, knobs.learning_rate, knobs.weight_decay) == (200, 128, 0.1, 2e-4)
    assert (knobs.warmup_epochs, knobs.milestones, knobs.decay) == (5, (160, 180), 0.01)
