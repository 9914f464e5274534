"""PaCo's loss compared with a double loop, its options, and its queue."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ltray.errors import UsageError
from ltray.lr_schedule import learning_rate
from ltray.methods.centres import CentreKnobs, centre_contrast, parametric_contrast
from ltray.methods.gpaco import GPaCoKnobs, GPaCoStage
from ltray.methods.paco import PaCoKnobs, PaCoStage
from ltray.parts.contrast import ContrastBatch, unit
from ltray.parts.pairs import EPSILON, extended
from ltray.stage import Batch

CLASSES = 4
SMALL: dict[str, Any] = dict(queue_size=7, projection_width=3)


@st.composite
def inputs(draw: st.DrawFn) -> tuple[ContrastBatch, Tensor]:
    """A batch of 1 to 4 queries, their keys, 0 to 5 remembered keys; the queries' centre scores."""
    rows, memory = draw(st.integers(1, 4)), draw(st.integers(0, 5))
    label = st.integers(0, draw(st.integers(0, CLASSES - 1)))
    labels = torch.tensor(draw(st.lists(label, min_size=rows, max_size=rows)))
    memory_labels = torch.tensor(draw(st.lists(label, min_size=memory, max_size=memory)), dtype=torch.int64)
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    queries, keys, queue = (
        unit(torch.randn(n, 3, generator=generator, dtype=torch.float64)) for n in (rows, rows, memory)
    )
    contrast = extended(ContrastBatch.gathered([queries], labels), keys, labels)
    scores = torch.randn(rows, CLASSES, generator=generator, dtype=torch.float64)
    return extended(contrast, queue, memory_labels), scores


def looped(
    contrast: ContrastBatch,
    centres: Tensor,
    *,
    alpha: float,
    beta: float,
    gamma: float,
    temperature: float,
    smoothing: float,
    divided: bool,
) -> float:
    losses = []
    for row, (anchor, label) in enumerate(zip(contrast.anchors, contrast.labels, strict=True)):
        values = [(float(score), beta * ((1 - smoothing) if c == label else smoothing / (CLASSES - 1)), 1.0)
                  for c, score in enumerate(centres[row])]  # fmt: skip
        for place, (key, key_label) in enumerate(zip(contrast.keys, contrast.key_labels, strict=True)):
            if place != contrast.own[row]:
                weight = alpha if key_label == label else 0.0
                values.append((float(anchor @ key) / temperature, weight, gamma))
        peak = max(1.0 / temperature, *(value for value, _, _ in values))  # itself, at cosine 1
        z = sum(factor * math.exp(value) for value, _, factor in values) + EPSILON * math.exp(peak)
        loss = -sum(weight * (value - math.log(z)) for value, weight, _ in values)
        losses.append(loss / sum(weight for _, weight, _ in values) if divided else loss)
    return sum(losses) / len(losses)


@settings(max_examples=40)
@given(
    drawn=inputs(),
    alpha=st.sampled_from([0.0, 0.05, 1.0]),
    beta=st.sampled_from([0.5, 1.0]),
    gamma=st.sampled_from([0.0, 0.5, 1.0]),
    temperature=st.sampled_from([0.2, 1.0]),
    smoothing=st.sampled_from([0.0, 0.1]),
    divided=st.booleans(),
)
def test_loss_equals_a_double_loop(drawn: tuple[ContrastBatch, Tensor], **knobs: Any) -> None:
    contrast, centres = drawn
    loss = parametric_contrast(contrast, centres, **knobs)
    torch.testing.assert_close(float(loss), looped(contrast, centres, **knobs), rtol=1e-8, atol=1e-8)


@settings(max_examples=20)
@given(drawn=inputs(), seed=st.integers(0, 2**16))
def test_loss_does_not_depend_on_the_order_of_anchors_and_keys(drawn: tuple[ContrastBatch, Tensor], seed: int) -> None:
    contrast, centres = drawn
    generator = torch.Generator().manual_seed(seed)
    rows, keys = (torch.randperm(len(part), generator=generator) for part in (contrast.anchors, contrast.keys))
    other = ContrastBatch(
        contrast.anchors[rows],
        contrast.labels[rows],
        contrast.keys[keys],
        contrast.key_labels[keys],
        keys.argsort()[contrast.own[rows]],
    )
    losses = [
        parametric_contrast(*each, alpha=0.05, temperature=0.1)
        for each in ((contrast, centres), (other, centres[rows]))
    ]
    torch.testing.assert_close(*losses)


def test_loss_without_samples_is_cross_entropy() -> None:
    rows, labels = unit(torch.randn(5, 3)), torch.tensor([0, 1, 2, 3, 0])
    contrast = ContrastBatch.gathered([rows], labels)
    scores = torch.randn(5, CLASSES)
    loss = parametric_contrast(contrast, scores, alpha=0.0, gamma=0.0, temperature=1.0)
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(scores, labels))


def test_prior_and_centre_temperature_are_knobs() -> None:
    torch.manual_seed(0)
    contrast = ContrastBatch.gathered([unit(torch.randn(5, 3))], torch.tensor([0, 1, 2, 3, 0]))
    scores, prior = torch.randn(5, CLASSES), torch.log(torch.tensor([0.6, 0.2, 0.15, 0.05]))
    losses = {
        name: float(centre_contrast(knobs, contrast, scores, log_prior=prior))
        for name, knobs in {
            "code": CentreKnobs(),
            "paper": CentreKnobs(prior=False),
            "warm": CentreKnobs(centre_temperature=2.0),
            "summed": CentreKnobs(divided=False),
        }.items()
    }
    assert len(set(losses.values())) == 4
    by_hand = parametric_contrast(contrast, (scores + prior) / 2.0, alpha=0.01, temperature=0.05)
    assert losses["warm"] == pytest.approx(float(by_hand))


def batch_of(rows: int, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    views = {name: torch.randn(rows, 3, 8, 8, generator=generator) for name in ("query", "key")}
    labels = torch.randint(3, (rows,), generator=generator)
    return Batch(views, labels, torch.arange(rows))


STAGES = {"paco": (PaCoStage, PaCoKnobs), "gpaco": (GPaCoStage, GPaCoKnobs)}


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize("rows", [2, 5, 9])
@pytest.mark.parametrize("start", ["random_columns", "empty"])
def test_any_batch_size_works_with_any_queue_size(new_context, name: str, rows: int, start: str) -> None:
    stage_class, knobs = STAGES[name]
    stage = stage_class(knobs(queue_start=start, **SMALL), new_context([30, 9, 2]))
    for step in range(2):
        (term,) = stage(batch_of(rows, step)).values()
        assert torch.isfinite(term)
        term.backward()
    assert int(stage.queue.pointer) == 2 * rows % 7
    assert int(stage.queue.filled) == min(2 * rows, 7)
    assert len(stage.queue.contents()[0]) == (min(2 * rows, 7) if start == "empty" else 7)


@pytest.mark.parametrize("name", STAGES)
def test_loss_uses_the_queue_before_its_update(new_context, name: str) -> None:
    stage_class, knobs = STAGES[name]
    stage = stage_class(knobs(**SMALL), new_context([30, 9, 2])).eval()  # with fixed statistics the keys are equal
    twin = stage_class(knobs(**SMALL), new_context([30, 9, 2])).eval()
    twin.load_state_dict(stage.state_dict())
    first = stage(batch_of(4))[name]
    assert torch.equal(first, twin(batch_of(4))[name])
    assert not torch.equal(stage(batch_of(4))[name], first)


def test_trained_parameters_have_gradients_and_the_copy_has_none(new_context) -> None:
    stage = PaCoStage(PaCoKnobs(**SMALL), new_context([30, 9, 2]))
    stage(batch_of(6))["paco"].backward()
    gradients = {name: p.grad is not None for name, p in stage.named_parameters()}
    assert {name for name, has in gradients.items() if not has} == {
        name for name in gradients if name.startswith("key_encoder.")
    }


def test_second_view_of_gpaco_has_gradient(new_context) -> None:
    stage = GPaCoStage(GPaCoKnobs(**SMALL), new_context([30, 9, 2]))
    batch = batch_of(6)
    batch["key"].requires_grad_(True)
    stage(batch)["gpaco"].backward()
    assert batch["key"].grad is not None and batch["key"].grad.abs().sum() > 0


def test_logits_are_plain_scores_without_side_effects(new_context) -> None:
    stage = PaCoStage(PaCoKnobs(**SMALL), new_context([30, 9, 2]))
    stage(batch_of(6))
    stage.eval()
    before = {name: value.clone() for name, value in stage.state_dict().items()}
    images = torch.randn(3, 3, 8, 8)
    assert torch.equal(stage.logits(images), stage.network.classifier(stage.network.backbone(images)))
    assert all(torch.equal(value, before[name]) for name, value in stage.state_dict().items())


@pytest.mark.parametrize("low", [torch.bfloat16])
def test_low_precision_is_close_to_float32(new_context, low: torch.dtype) -> None:
    stage = PaCoStage(PaCoKnobs(key_momentum=0.5, **SMALL), new_context([30, 9, 2]))
    state = {name: value.clone() for name, value in stage.state_dict().items()}
    exact = stage(batch_of(8))["paco"]
    stage.load_state_dict(state)
    with torch.autocast("cpu", dtype=low):
        loss = stage(batch_of(8))["paco"]
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, exact, rtol=0.05, atol=0.0)


@pytest.mark.parametrize("knobs", [PaCoKnobs, GPaCoKnobs])
def test_cifar_schedule_is_the_official_one_except_for_epoch_ten(golden, knobs) -> None:
    data = golden("contrastive/schedules")
    recipe = knobs.defaults("cifar100_lt").replace(learning_rate=float(data["paco_cifar/args"][0]))
    ours = [learning_rate(recipe, epoch=int(epoch)) for epoch in data["paco_cifar/epochs"]]
    official = data["paco_cifar/lr"].copy()
    assert official[10] == pytest.approx(1.1 * recipe.learning_rate)
    official[10] = recipe.learning_rate
    assert ours == pytest.approx(official.tolist(), rel=1e-12)


@pytest.mark.parametrize(("profile", "name"), [("imagenet_lt", "paco_imagenet_lt"), ("places_lt", "paco_places_lt")])
def test_schedules_of_the_large_sets_are_the_official_ones(golden, profile: str, name: str) -> None:
    data = golden("contrastive/schedules")
    recipe = PaCoKnobs.defaults(profile)
    assert [recipe.learning_rate, recipe.warmup_epochs, recipe.epochs] == data[f"{name}/args"].tolist()
    ours = [learning_rate(recipe, epoch=int(epoch)) for epoch in data[f"{name}/epochs"]]
    assert ours == pytest.approx(data[f"{name}/lr"].tolist(), rel=1e-12)


def test_invalid_knobs_are_refused() -> None:
    with pytest.raises(UsageError, match="random_columns"):
        PaCoKnobs(queue_start="random_rows")
    with pytest.raises(UsageError, match="beta"):
        PaCoKnobs(beta=0.0)
    with pytest.raises(UsageError, match="Did you mean `key_momentum`"):
        PaCoKnobs().replace(key_momentun=0.9)
