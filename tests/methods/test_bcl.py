"""BCL: its losses as loops over pairs, prototypes, views and knobs."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from ltray.data.transforms.policies import POLICIES
from ltray.methods.bcl.losses import contrast
from ltray.methods.bcl.method import BCL, BCLKnobs
from ltray.methods.bcl.prototypes import AveragePrototypes
from ltray.parts.contrast import ContrastBatch
from ltray.stage import Batch

COUNTS = (30, 12, 5, 2)
SMALL = dict(hidden_width=6, projection_width=4)
LABELS = st.lists(st.integers(0, 3), min_size=1, max_size=7)
AVERAGING = st.sampled_from(["L1", "L2", "L3", "none"])


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def by_hand(rows, labels, prototypes, *, temperature: float, averaging: str) -> float:
    """The loss with loops over anchors, classes and keys; `prototypes` is a list or None."""
    losses = []
    for i, row in enumerate(rows):
        members: dict[int, list[float]] = {}
        for j, other in enumerate(rows):
            if j != i and averaging != "L3":
                members.setdefault(labels[j], []).append(dot(row, other) / temperature)
        for label, prototype in enumerate(prototypes or []):
            members.setdefault(label, []).append(dot(row, prototype) / temperature)
        positives = members[labels[i]]
        if averaging == "L2":
            denominator = sum(math.exp(sum(values) / len(values)) for values in members.values())
        else:
            share = {label: len(values) if averaging == "L1" else 1 for label, values in members.items()}
            denominator = sum(math.exp(value) / share[label] for label, values in members.items() for value in values)
        losses.append(math.log(denominator) - sum(positives) / len(positives))
    return sum(losses) / len(losses)


def units(*shape: int) -> torch.Tensor:
    return F.normalize(torch.randn(*shape, dtype=torch.float64), dim=-1)


@given(labels=LABELS, averaging=AVERAGING, complement=st.booleans(), seed=st.integers(0, 1000))
def test_every_loss_equals_loops_over_pairs(labels, averaging: str, complement: bool, seed: int) -> None:
    torch.manual_seed(seed)
    views = units(2, len(labels), 3)
    prototypes = units(4, 3) if complement or averaging == "L3" else None
    batch = ContrastBatch.gathered(list(views), torch.tensor(labels))
    loss = contrast(batch, prototypes, temperature=0.2, averaging=averaging)
    expected = by_hand(
        views.flatten(0, 1).tolist(),
        labels * 2,
        None if prototypes is None else prototypes.tolist(),
        temperature=0.2,
        averaging=averaging,
    )
    assert loss.item() == pytest.approx(expected, rel=1e-10, abs=1e-12)


@given(order=st.permutations(range(6)), averaging=AVERAGING)
def test_loss_does_not_depend_on_the_order_of_the_batch(order: list[int], averaging: str) -> None:
    torch.manual_seed(0)
    views, prototypes, labels = units(2, 6, 3), units(4, 3), torch.tensor([0, 1, 0, 2, 0, 1])
    losses = [
        contrast(
            ContrastBatch.gathered(list(views[:, indices]), labels[indices]),
            prototypes,
            temperature=0.1,
            averaging=averaging,
        )
        for indices in (list(range(6)), order)
    ]
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-11, atol=1e-12)


def test_balanced_contrast_is_minimal_at_a_simplex() -> None:
    # Zhu et al., Theorem 1: rows on their class's vertex of a regular simplex.
    vertices = F.normalize(torch.eye(4, dtype=torch.float64) - 0.25, dim=1)
    labels = torch.tensor([0, 0, 0, 1, 1, 2])

    def loss(rows: torch.Tensor) -> float:
        batch = ContrastBatch.gathered([rows, rows], labels)
        return contrast(batch, vertices, temperature=0.5, averaging="L1").item()

    best = loss(vertices[labels])
    assert best == pytest.approx(math.log(1 + 3 * math.exp(-4 / 3 / 0.5)), rel=1e-12)
    torch.manual_seed(0)
    for _ in range(20):
        assert loss(F.normalize(vertices[labels] + 0.1 * torch.randn(6, 4, dtype=torch.float64), dim=1)) > best


@pytest.mark.parametrize("labels", [[2], [1, 1, 1], [0, 1, 2, 3]], ids=["one image", "one class", "all classes"])
@pytest.mark.parametrize("prototypes", ["mlp", "learnable", "ema"])
@pytest.mark.parametrize("averaging", ["L1", "L2", "L3", "none"])
def test_every_option_trains_every_parameter(new_context, labels: list[int], prototypes: str, averaging: str) -> None:
    torch.manual_seed(0)
    knobs = BCLKnobs(prototypes=prototypes, averaging=averaging, **SMALL)
    stage = BCL(knobs, new_context(COUNTS, width=5))
    views = {view.name: torch.randn(len(labels), 5) for view in stage.views}
    terms = stage(Batch(views, torch.tensor(labels), torch.arange(len(labels))))
    sum(terms.values()).backward()
    assert all(torch.isfinite(term) for term in terms.values())
    assert all(torch.isfinite(parameter.grad).all() for parameter in stage.parameters())


def test_without_complement_there_are_no_prototypes(new_context) -> None:
    def parameters(**switches) -> set[str]:
        return {name for name, _ in BCL(BCLKnobs(**SMALL, **switches), new_context(COUNTS)).named_parameters()}

    assert any("prototypes" in name for name in parameters())
    assert not any("prototypes" in name for name in parameters(complement=False))
    assert any("prototypes" in name for name in parameters(complement=False, averaging="L3"))


def test_without_contrast_one_view_is_classified_with_logit_compensation(new_context) -> None:
    stage = BCL(BCLKnobs(contrastive_weight=0.0, classification_weight=1.5), new_context([6, 3, 1]))
    assert [view.name for view in stage.views] == ["classify"]
    assert {name.split(".")[0] for name, _ in stage.named_parameters()} == {"network"}
    images, labels = torch.randn(4, 3, 8, 8), torch.tensor([0, 0, 1, 2])
    terms = stage(Batch({"classify": images}, labels, labels))
    prior = torch.tensor([0.6, 0.3, 0.1]).log()
    expected = 1.5 * torch.nn.functional.cross_entropy(stage.network(images) + prior, labels)
    torch.testing.assert_close(terms, {"classification": expected})


def test_prototypes_pass_gradient_to_the_classifier(new_context) -> None:
    stage = BCL(BCLKnobs(classification_weight=0.0, **SMALL), new_context(COUNTS, width=5))
    views = {view.name: torch.randn(4, 5) for view in stage.views}
    stage(Batch(views, torch.arange(4), torch.arange(4)))["contrastive"].backward()
    assert stage.network.classifier.weight.grad.abs().sum() > 0


def test_moving_averages_update_only_the_classes_of_the_batch() -> None:
    prototypes = AveragePrototypes(3, 2, momentum=0.5)
    prototypes.rows.copy_(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    prototypes.update(torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]), torch.tensor([1, 2, 1]))
    half = math.sqrt(0.5)
    torch.testing.assert_close(prototypes.rows, torch.tensor([[1.0, 0.0], [half, half], [half, half]]))


def test_views_name_their_augmentation(new_context) -> None:
    stage = BCL(BCLKnobs(views="rand-sim", **SMALL), new_context(COUNTS))
    policies = [(view.name, view.augmentation) for view in stage.views]
    assert policies == [("classify", "bcl_classify"), ("first", "rand"), ("second", "sim")]


def test_every_choice_of_views_has_its_policies() -> None:
    choices = BCLKnobs.specs()["views"].choices
    assert len(choices) == 5
    assert {policy for choice in choices for policy in choice.split("-")} <= set(POLICIES)


def test_scale_of_the_cosine_classifier_is_a_knob(new_context) -> None:
    stage = BCL(BCLKnobs(classifier="cosine", classifier_scale=12.0, **SMALL), new_context(COUNTS, width=5))
    rows = torch.randn(3, 5)
    expected = 12 * F.normalize(rows, dim=1) @ F.normalize(stage.network.classifier.weight, dim=1).T
    torch.testing.assert_close(stage.logits(rows), expected)


def test_bfloat16_autocast_is_close_to_float32(new_context) -> None:
    torch.manual_seed(0)
    stage = BCL(BCLKnobs(**SMALL), new_context(COUNTS))
    batch = Batch({view.name: torch.randn(8, 3, 8, 8) for view in stage.views}, torch.arange(8) % 4, torch.arange(8))
    exact = stage(batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = stage(batch)
    for name, value in rough.items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, exact[name], rtol=0.05, atol=0.05)


def test_settings_equal_the_published_ones() -> None:
    cifar, large = BCLKnobs.defaults("cifar100_lt"), BCLKnobs.defaults("imagenet_lt")
    assert (cifar.classification_weight, cifar.contrastive_weight, cifar.temperature) == (2.0, 0.6, 0.1)
    assert (cifar.batch_size, cifar.learning_rate, cifar.epochs, cifar.milestones) == (256, 0.15, 200, (160, 180))
    assert (cifar.hidden_width, cifar.projection_width, cifar.warmup_epochs) == (512, 128, 5)
    assert (large.classification_weight, large.contrastive_weight, large.temperature) == (1.0, 0.35, 0.07)
    assert (large.epochs, large.schedule, large.classifier, large.projection_width) == (90, "cosine", "cosine", 1024)
    inat = BCLKnobs.defaults("inat18")
    assert (inat.learning_rate, inat.weight_decay, inat.epochs) == (0.2, 1e-4, 100)
