"""The pairs that contrastive stages give to analyses: the loss of `forward` can be computed from them."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from ltray.methods.find import find_method
from ltray.parts.contrast import ContrastPairs
from ltray.stage import Batch, Stage
from tests.methods.conftest import NewContext

COUNTS = (9, 5, 3, 2)
QUEUE = dict(queue_size=6, projection_width=3)
RESCOM = dict(queue_size=3, hard_positives=2, hard_negatives=4, projection_width=3, effective_number_beta=0.0)
EVERY_KEY = dict(queue_size=3, projection_width=3, effective_number_beta=0.0, hard_mining=False, queue_kind="original")
FIXED_KEYS = dict(QUEUE, key_momentum=1.0)  # `forward` updates the key encoder first
CASES: list[tuple[str, dict[str, Any], str]] = [
    ("supcon", QUEUE, "contrastive"),
    ("supcon", QUEUE | dict(queue_size=0), "contrastive"),
    ("multi_task", QUEUE | dict(effective_number_beta=0.0), "contrastive"),
    ("moco", FIXED_KEYS, "contrastive"),
    ("rescom", RESCOM, "contrastive"),
    ("rescom", RESCOM | dict(anchors="first_view"), "contrastive"),
    ("rescom", EVERY_KEY, "contrastive"),
    ("paco", FIXED_KEYS | dict(alpha=0.3, beta=0.7), "paco"),
    ("paco", FIXED_KEYS | dict(alpha=0.3, gamma=0.5, prior=False, centre_temperature=2.0), "paco"),
    ("gpaco", QUEUE | dict(alpha=0.2), "gpaco"),
    ("bcl", dict(hidden_width=4, projection_width=3), "contrastive"),
    ("bcl", dict(hidden_width=4, projection_width=3, averaging="none"), "contrastive"),
    ("bcl", dict(hidden_width=4, projection_width=3, complement=False), "contrastive"),
    ("dscl", FIXED_KEYS | dict(distillation_weight=0.0, alpha=0.3), "contrastive"),
    ("dscl", FIXED_KEYS | dict(distillation_weight=0.0, contrast_set="queue", alone="alpha"), "contrastive"),
    ("dscl", FIXED_KEYS | dict(distillation_weight=0.0, loss="supervised"), "contrastive"),
]


def stage_of(method: str, knobs: dict[str, Any], new_context: NewContext) -> tuple[Stage, Batch]:
    torch.manual_seed(1)
    found = find_method(method)
    stage = found.stages(found.knobs.resolve("digits_lt", knobs), new_context(COUNTS))[0].train()
    labels = torch.tensor([0, 0, 1, 1, 2, 3, 0, 1])  # class 3 has one image
    views = {view.name: torch.randn(len(labels), 3, 8, 8) for view in stage.views}
    return stage, Batch(views, labels, torch.arange(len(labels)))


def loss_of(pairs: ContrastPairs) -> Tensor:
    """Return −Σ_j t_j log p_j, where the weights of the keys are part of the denominator only."""
    log_z = pairs.scores.logsumexp(dim=1)
    there = pairs.targets > 0
    attracted = (pairs.targets * (pairs.cosines / pairs.temperature).masked_fill(~there, 0.0)).sum(dim=1)
    total = pairs.targets.sum(dim=1)
    if pairs.centres is not None:
        log_z = torch.logaddexp(log_z, pairs.centres.logsumexp(dim=1))
        attracted = attracted + (1.0 - total) * pairs.centres.gather(1, pairs.labels[:, None]).squeeze(1)
        total = torch.ones_like(total)
    return (total * log_z - attracted).mean()


@pytest.mark.parametrize(("method", "knobs", "term"), CASES, ids=str)
def test_pairs_give_the_loss(method: str, knobs: dict[str, Any], term: str, new_context: NewContext) -> None:
    stage, batch = stage_of(method, knobs, new_context)
    with torch.no_grad():
        pairs = copy.deepcopy(stage).pairs(batch)
        loss = stage(batch)[term]
    assert pairs is not None
    weight = getattr(stage.recipe, "contrastive_weight", 1.0)
    torch.testing.assert_close(weight * loss_of(pairs), loss, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("method", "knobs", "term"), CASES, ids=str)
def test_own_view_is_a_positive_and_probabilities_sum_to_one(
    method: str, knobs: dict[str, Any], term: str, new_context: NewContext
) -> None:
    stage, batch = stage_of(method, knobs, new_context)
    with torch.no_grad():
        pairs = stage.pairs(batch)
    assert pairs is not None
    total = pairs.probabilities.sum(dim=1)
    if pairs.centres is None:
        torch.testing.assert_close(total, torch.ones_like(total))
        torch.testing.assert_close(pairs.targets.sum(dim=1), torch.ones_like(total)) if "alone" not in knobs else None
    else:
        assert (total < 1.0).all() and (pairs.targets.sum(dim=1) < 1.0).all()
    assert not pairs.targets[~pairs.positives].any()
    if pairs.own_view is None:
        assert knobs["anchors"] == "first_view"
        return
    assert pairs.positives.gather(1, pairs.own_view[:, None]).all()
    if method != "moco":
        assert (pairs.targets.gather(1, pairs.own_view[:, None]) > 0).all()
    own = pairs.cosines.gather(1, pairs.own_view[:, None]).squeeze(1)
    if len(own) == 2 * len(batch.labels):  # two views: each is the other's own view
        torch.testing.assert_close(own[: len(batch.labels)], own[len(batch.labels) :])


@pytest.mark.parametrize(
    ("method", "knobs"),
    [("cross_entropy", {}), ("bcl", dict(averaging="L2")), ("bcl", dict(contrastive_weight=0.0)), ("proco", {})],
)
def test_loss_without_pairs_has_none(method: str, knobs: dict[str, Any], new_context: NewContext) -> None:
    stage, batch = stage_of(method, knobs, new_context)
    assert stage.pairs(batch) is None
