"""ResCom: its loss compared with a double loop, its mining, options and knobs."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from ltray.errors import UsageError
from ltray.long_tail import LongTail
from ltray.methods.rescom.losses import class_balanced_contrast, mined_similarities
from ltray.methods.rescom.method import METHOD, ResCom, ResComKnobs
from ltray.parts.queues import SLOTS, ClassQueue
from ltray.stage import Batch

CLASSES = {"cifar10_lt": 10, "cifar100_lt": 100, "imagenet_lt": 1000, "places_lt": 365, "inat18": 8142, "digits_lt": 10}
SMALL = dict(queue_size=3, hard_positives=2, hard_negatives=4, projection_width=4)
COUNTS = (30, 12, 5, 2)


def by_hand(first, second, labels, queue, slots, *, knobs: ResComKnobs, weights) -> float:
    """Return the contrastive term with loops over anchors and keys; embeddings are lists."""
    blocks, start = [], 0
    for size in slots:
        blocks.append(queue[start : start + size])
        start += size
    rows, row_labels = first + second, labels + labels
    anchors = range(len(rows)) if knobs.anchors == "both_views" else range(len(first))
    total = 0.0
    for i in anchors:
        label, positives, negatives = row_labels[i], [], []
        if knobs.anchors == "both_views":
            for j, row in enumerate(rows):
                if j != i:
                    (positives if row_labels[j] == label else negatives).append(dot(rows[i], row))
        own = sorted(dot(rows[i], key) for key in blocks[label])
        others = [dot(rows[i], key) for k, block in enumerate(blocks) if k != label for key in block]
        if knobs.hard_mining:
            own, others = own[: knobs.hard_positives], sorted(others)[::-1][: knobs.hard_negatives]
        positives, negatives = positives + own, negatives + others
        log_sum = math.log(sum(math.exp(value / knobs.temperature) for value in positives + negatives))
        attracted = sum(value / knobs.temperature - log_sum for value in positives)
        total -= weights[label] * attracted / (len(positives) + 1e-9)
    return total / len(anchors)


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


@given(
    labels=st.lists(st.integers(0, 3), min_size=1, max_size=7),
    anchors=st.sampled_from(["both_views", "first_view"]),
    kind=st.sampled_from(sorted(SLOTS)),
    hard_mining=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_contrast_equals_loops_over_pairs(new_context, labels, anchors, kind, hard_mining, seed) -> None:
    torch.manual_seed(seed)
    knobs = ResComKnobs(anchors=anchors, queue_kind=kind, hard_mining=hard_mining, **SMALL)
    stage = ResCom(knobs, new_context(COUNTS, width=4)).double()
    first, second = (F.normalize(torch.randn(len(labels), 4, dtype=torch.float64), dim=1) for _ in range(2))
    expected = by_hand(
        first.tolist(),
        second.tolist(),
        labels,
        stage.queue.keys.tolist(),
        stage.queue.slots.tolist(),
        knobs=knobs,
        weights=stage.class_weights.tolist(),
    )
    stage.projector = torch.nn.Identity()
    terms = stage(Batch({"first": first, "second": second}, torch.tensor(labels), torch.arange(len(labels))))
    assert terms["contrastive"].item() == pytest.approx(0.5 * expected, rel=1e-9, abs=1e-11)


@given(order=st.permutations(range(6)))
def test_loss_does_not_depend_on_the_order_of_the_batch(new_context, order: list[int]) -> None:
    torch.manual_seed(0)
    stage = ResCom(ResComKnobs(**SMALL), new_context(COUNTS, width=4)).double()
    labels = torch.tensor([0, 1, 0, 2, 3, 0])
    views = torch.randn(2, 6, 4, dtype=torch.float64)
    before = {name: value.clone() for name, value in stage.state_dict().items()}
    terms = stage(Batch({"first": views[0], "second": views[1]}, labels, torch.arange(6)))
    stage.load_state_dict(before)
    moved = stage(Batch({"first": views[0, order], "second": views[1, order]}, labels[order], torch.arange(6)))
    torch.testing.assert_close(moved, terms, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("labels", [[2], [1, 1, 1], [0, 1, 2, 3]], ids=["one image", "one class", "all classes"])
@pytest.mark.parametrize("anchors", ["both_views", "first_view"])
def test_small_batches_give_finite_terms_and_gradients(new_context, labels: list[int], anchors: str) -> None:
    torch.manual_seed(0)
    stage = ResCom(ResComKnobs(anchors=anchors, **SMALL), new_context(COUNTS, width=4))
    views = {view.name: torch.randn(len(labels), 4) for view in stage.views}
    terms = stage(Batch(views, torch.tensor(labels), torch.arange(len(labels))))
    sum(terms.values()).backward()
    assert all(torch.isfinite(term) for term in terms.values())
    assert all(torch.isfinite(parameter.grad).all() for parameter in stage.parameters())


def test_gradient_of_the_mined_keys_equals_autograd() -> None:
    torch.manual_seed(0)
    queue = ClassQueue([3, 1, 2], 5).double()
    labels = torch.tensor([0, 1, 2, 0])
    anchors = F.normalize(torch.randn(4, 5, dtype=torch.float64), dim=1).requires_grad_()
    mined, positive = mined_similarities(anchors, queue.keys, queue.slots_of(labels), positives=2, negatives=3)
    assert torch.isneginf(mined).sum() == 1  # class 1 has one slot, two are requested
    assert not positive[torch.isneginf(mined)].any()
    weights = torch.randn_like(mined)
    (mined.exp() * weights).sum().backward()
    again = anchors.detach().clone().requires_grad_()
    similarities = again @ queue.keys.T
    own = queue.labels == labels[:, None]
    near = similarities.masked_fill(~own, torch.inf).topk(2, largest=False).values
    far = similarities.masked_fill(own, -torch.inf).topk(3).values
    (torch.cat([near.masked_fill(near.isposinf(), -torch.inf), far], dim=1).exp() * weights).sum().backward()
    torch.testing.assert_close(anchors.grad, again.grad, rtol=1e-12, atol=1e-14)


def test_nan_similarity_gives_a_nan_loss() -> None:
    queue = ClassQueue([2, 2], 3)
    anchors = torch.full((1, 3), torch.nan)
    mined, positive = mined_similarities(
        anchors, queue.keys, queue.slots_of(torch.tensor([0])), positives=1, negatives=1
    )
    loss = class_balanced_contrast(mined, positive, torch.ones(1), temperature=0.1)
    assert torch.isnan(loss)


def test_view_in_the_queue_follows_the_anchors(new_context) -> None:
    for anchors, entering in (("both_views", "first"), ("first_view", "second")):
        torch.manual_seed(0)
        stage = ResCom(ResComKnobs(anchors=anchors, **SMALL), new_context(COUNTS, width=4))
        stage.projector = torch.nn.Identity()
        views = {"first": torch.randn(1, 4), "second": torch.randn(1, 4)}
        stage(Batch(views, torch.tensor([1]), torch.arange(1)))
        torch.testing.assert_close(stage.queue.keys[3], F.normalize(views[entering], dim=1)[0])
        assert stage.queue.pointers.tolist() == [0, 1, 0, 0]


def test_without_siamese_balanced_softmax_only_view_one_is_classified(new_context) -> None:
    torch.manual_seed(0)
    stage = ResCom(ResComKnobs(siamese_balanced_softmax=False, **SMALL), new_context(COUNTS, width=4))
    views = {"first": torch.randn(3, 4), "second": torch.randn(3, 4)}
    labels = torch.tensor([0, 1, 3])
    terms = stage(Batch(views, labels, torch.arange(3)))
    expected = F.cross_entropy(stage.logits(views["first"]) + stage.log_prior.float(), labels)
    torch.testing.assert_close(terms["classification"], expected)


def test_evaluation_does_not_change_the_queue(new_context) -> None:
    stage = ResCom(ResComKnobs(**SMALL), new_context(COUNTS)).eval()
    before = {name: value.clone() for name, value in stage.state_dict().items()}
    stage.logits(torch.randn(2, 3, 8, 8))
    assert all(torch.equal(value, before[name]) for name, value in stage.state_dict().items())


def test_bfloat16_autocast_is_close_to_float32(new_context) -> None:
    torch.manual_seed(0)
    stage = ResCom(ResComKnobs(**SMALL), new_context(COUNTS))
    batch = Batch({view.name: torch.randn(8, 3, 8, 8) for view in stage.views}, torch.arange(8) % 4, torch.arange(8))
    before = {name: value.clone() for name, value in stage.state_dict().items()}
    exact = stage(batch)
    stage.load_state_dict(before)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = stage(batch)
    for name, value in rough.items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, exact[name], rtol=0.05, atol=0.05)


@pytest.mark.parametrize("profile", CLASSES)
def test_papers_settings_are_valid_on_their_data(profile: str) -> None:
    knobs = ResComKnobs.defaults(profile)
    knobs.check_classes(CLASSES[profile])
    assert ResComKnobs.resolve(profile, {"epochs": 8}).epochs == 8


def test_the_published_cifar_100_setting() -> None:
    knobs = ResComKnobs.defaults("cifar100_lt")
    assert (knobs.queue_size, knobs.hard_positives, knobs.hard_negatives) == (10, 1, 400)
    assert (knobs.temperature, knobs.contrastive_weight, knobs.effective_number_beta) == (0.2, 0.5, 0.999999)
    assert (knobs.epochs, knobs.warmup_epochs, knobs.milestones) == (400, 10, (320, 360))
    assert (knobs.learning_rate, knobs.weight_decay, knobs.batch_size) == (0.1, 5e-4, 128)


def test_more_hard_pairs_than_the_queue_size_are_refused(new_context) -> None:
    with pytest.raises(UsageError, match="`hard_positives <= queue_size` must hold"):
        ResComKnobs(queue_size=2, hard_positives=3)
    knobs = ResComKnobs(queue_size=2, hard_negatives=7)
    with pytest.raises(UsageError, match="`hard_negatives <= 6` must hold with 4 classes"):
        METHOD.stages(knobs, new_context(COUNTS, width=4))


def test_class_weights_follow_the_effective_number(new_context) -> None:
    stage = ResCom(ResComKnobs(effective_number_beta=0.9, **SMALL), new_context(COUNTS, width=4))
    effective = LongTail(COUNTS).effective_number(0.9)
    torch.testing.assert_close(stage.class_weights * effective, effective.mean().expand(4))
