"""SupCon, MoCo and multi-task SupCon, each with Balanced Softmax."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from ltray.methods.moco import MoCoKnobs, MoCoStage, instance_contrast
from ltray.methods.multi_task import MultiTaskKnobs, MultiTaskStage
from ltray.methods.supcon import SupConKnobs, SupConStage
from ltray.parts.contrast import unit
from ltray.stage import Batch, Stage

COUNTS = [30, 9, 2]
SMALL: dict[str, Any] = dict(queue_size=7, projection_width=3)


def batch_of(stage: Stage, rows: int, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    views = {view.name: torch.randn(rows, 3, 8, 8, generator=generator) for view in stage.views}
    return Batch(views, torch.randint(3, (rows,), generator=generator), torch.arange(rows))


@settings(max_examples=30)
@given(rows=st.integers(1, 4), memory=st.integers(1, 6), seed=st.integers(0, 2**16))
def test_instance_contrast_equals_a_double_loop(rows: int, memory: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    queries, keys, queue = (
        unit(torch.randn(n, 3, generator=generator, dtype=torch.float64)) for n in (rows, rows, memory)
    )
    losses = []
    for query, key in zip(queries, keys, strict=True):
        own = math.exp(float(query @ key) / 0.2)
        losses.append(-math.log(own / (own + sum(math.exp(float(query @ row) / 0.2) for row in queue))))
    loss = instance_contrast(queries, keys, queue, temperature=0.2)
    torch.testing.assert_close(float(loss), sum(losses) / rows, rtol=1e-10, atol=1e-10)


def test_instance_contrast_with_an_empty_queue_is_zero_and_differentiable() -> None:
    queries = unit(torch.randn(3, 4)).requires_grad_(True)
    loss = instance_contrast(queries, unit(torch.randn(3, 4)), torch.empty(0, 4), temperature=0.2)
    assert loss == 0.0
    loss.backward()
    assert queries.grad is not None and torch.equal(queries.grad, torch.zeros(3, 4))


STAGES = {
    "supcon": (SupConStage, SupConKnobs(**SMALL)),
    "supcon, no queue": (SupConStage, SupConKnobs(queue_size=0, projection_width=3)),
    "supcon, both views classified": (SupConStage, SupConKnobs(siamese_balanced_softmax=True, **SMALL)),
    "moco": (MoCoStage, MoCoKnobs(**SMALL)),
    "moco, queue empty at first": (MoCoStage, MoCoKnobs(queue_start="empty", **SMALL)),
    "multi_task": (MultiTaskStage, MultiTaskKnobs(**SMALL)),
}


@pytest.mark.parametrize(("stage_class", "knobs"), STAGES.values(), ids=STAGES)
@pytest.mark.parametrize("rows", [2, 5, 9])
def test_any_batch_trains_every_parameter(new_context, stage_class, knobs, rows: int) -> None:
    stage = stage_class(knobs, new_context(COUNTS))
    for step in range(2):
        terms = stage(batch_of(stage, rows, step))
        assert set(terms) == {"classification", "contrastive"}
        assert all(torch.isfinite(term) for term in terms.values())
        sum(terms.values()).backward()
    for name, parameter in stage.named_parameters():
        assert (parameter.grad is not None) is not name.startswith("key_encoder."), name
    assert int(stage.queue.pointer) == (2 * rows % 7 if knobs.queue_size else 0)


def test_queue_has_first_views_of_supcon_and_keys_of_moco(new_context) -> None:
    supcon = SupConStage(SupConKnobs(**SMALL), new_context(COUNTS)).eval()
    batch = batch_of(supcon, 4)
    supcon(batch)
    first = unit(supcon.projector(supcon.network.backbone(batch["first"])))
    torch.testing.assert_close(supcon.queue.keys[:4], first.detach())
    moco = MoCoStage(MoCoKnobs(**SMALL), new_context(COUNTS)).eval()
    batch = batch_of(moco, 4)
    moco(batch)
    torch.testing.assert_close(moco.queue.keys[:4], unit(moco.key_encoder(batch["key"])))


@pytest.mark.parametrize(("siamese", "views"), [(False, ["first"]), (True, ["first", "second"])])
def test_supcon_classifies_one_view_or_both(new_context, siamese: bool, views: list[str]) -> None:
    stage = SupConStage(SupConKnobs(siamese_balanced_softmax=siamese, **SMALL), new_context(COUNTS)).eval()
    batch = batch_of(stage, 5)
    scores = stage.logits(torch.cat([batch[view] for view in views]))
    prior = torch.tensor(COUNTS) / sum(COUNTS)
    expected = F.cross_entropy(scores + prior.log(), batch.labels.repeat(len(views)))
    torch.testing.assert_close(stage(batch)["classification"], expected)


def test_multi_task_weights_classes_by_their_effective_number(new_context) -> None:
    stage = MultiTaskStage(MultiTaskKnobs(effective_number_beta=0.9, **SMALL), new_context(COUNTS))
    numbers = [(1 - 0.9**count) / (1 - 0.9) for count in COUNTS]
    expected = [sum(numbers) / 3 / number for number in numbers]
    torch.testing.assert_close(stage.class_weight.tolist(), expected)
    plain = MultiTaskStage(MultiTaskKnobs(effective_number_beta=0.0, **SMALL), new_context(COUNTS))
    plain.load_state_dict(stage.state_dict())
    batch = batch_of(stage, 6)
    assert stage(batch)["contrastive"] != plain(batch)["contrastive"]


def test_multi_task_without_balanced_softmax_is_plain_cross_entropy(new_context) -> None:
    stage = MultiTaskStage(MultiTaskKnobs(classification="cross_entropy", **SMALL), new_context(COUNTS)).eval()
    batch = batch_of(stage, 5)
    scores = stage.logits(torch.cat([batch["query"], batch["key"]]))
    torch.testing.assert_close(stage(batch)["classification"], F.cross_entropy(scores, batch.labels.repeat(2)))
