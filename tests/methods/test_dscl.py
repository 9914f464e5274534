"""DSCL and PBSD compared with double loops, their options, and the two stages on small data."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ltray.engine.train_step import set_training_mode
from ltray.errors import UsageError
from ltray.long_tail import LongTail
from ltray.lr_schedule import learning_rate
from ltray.methods.dscl.knobs import DSCLKnobs, linear_knobs
from ltray.methods.dscl.losses import (
    AnchorSums,
    decoupled_loss,
    region_features,
    self_distillation_loss,
    sums_with_batch,
    sums_with_queue,
)
from ltray.methods.dscl.method import METHOD, DecoupledContrast
from ltray.network import Network
from ltray.parts.backbones import new_backbone
from ltray.parts.contrast import ContrastBatch, unit
from ltray.parts.heads import new_classifier
from ltray.parts.key_queue import KeyQueue
from ltray.parts.pairs import EPSILON, extended, supervised_contrast
from ltray.parts.queues import ClassQueue
from ltray.stage import Batch, BuildContext, Patches

CLASSES = 4
COUNTS = [30, 9, 2]
SMALL: dict[str, Any] = dict(queue_size=7, projection_width=3, patches=2)


@st.composite
def inputs(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Queries, keys and labels of 1 to 4 images; 1 to 5 remembered keys and their labels."""
    rows, memory = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    label = st.integers(0, draw(st.integers(0, CLASSES - 1)))
    labels = torch.tensor(draw(st.lists(label, min_size=rows, max_size=rows)))
    memory_labels = torch.tensor(draw(st.lists(label, min_size=memory, max_size=memory)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    queries, keys, queue = (
        unit(torch.randn(n, 3, generator=generator, dtype=torch.float64)) for n in (rows, rows, memory)
    )
    return queries, keys, labels, queue, memory_labels


def sums(drawn: tuple[Tensor, ...], contrast_set: str, temperature: float) -> AnchorSums:
    queries, keys, labels, queue, memory_labels = drawn
    contrast = ContrastBatch.gathered([queries], labels)
    if contrast_set == "queue":
        return sums_with_queue(contrast, keys, (queue, memory_labels), temperature=temperature, classes=CLASSES)
    contrast = extended(extended(contrast, keys, labels), queue, memory_labels)
    return sums_with_batch(contrast, keys, temperature=temperature, classes=CLASSES)


def looped(drawn: tuple[Tensor, ...], contrast_set: str, *, temperature: float, alpha: float, alone: str) -> float:
    queries, keys, labels, queue, memory_labels = drawn
    losses = []
    for i in range(len(queries)):
        rows = [(keys[i], labels[i], "own")] + [(row, y, "queue") for row, y in zip(queue, memory_labels, strict=True)]
        if contrast_set == "batch_and_queue":
            rows += [(queries[j], labels[j], "query") for j in range(len(queries)) if j != i]
            rows += [(keys[j], labels[j], "key") for j in range(len(keys)) if j != i]
        values = [(float(queries[i] @ row) / temperature, y, kind) for row, y, kind in rows]
        # The code's guard, with the anchor's similarity to itself; the paper has none.
        guard = EPSILON * math.exp(1.0 / temperature) if contrast_set == "batch_and_queue" else 0.0
        log_z = math.log(sum(math.exp(value) for value, _, _ in values) + guard)
        others = [value - log_z for value, y, kind in values if kind != "own" and y == labels[i]]
        own = values[0][0] - log_z
        if others:
            losses.append(-alpha * own - (1 - alpha) * sum_of(others) / len(others))
        else:
            losses.append(-own if alone == "own_key" else log_z - alpha * values[0][0])
    return sum_of(losses) / len(losses)


def sum_of(values: list[float]) -> float:
    return math.fsum(values)


@settings(max_examples=40)
@given(
    drawn=inputs(),
    contrast_set=st.sampled_from(["batch_and_queue", "queue"]),
    alpha=st.sampled_from([0.1, 0.5, 1.0]),
    temperature=st.sampled_from([0.1, 1.0]),
    alone=st.sampled_from(["own_key", "alpha"]),
)
def test_decoupled_loss_equals_a_double_loop(
    drawn: tuple[Tensor, ...], contrast_set: str, alpha: float, temperature: float, alone: str
) -> None:
    loss = decoupled_loss(sums(drawn, contrast_set, temperature), alpha, alone=alone)
    expected = looped(drawn, contrast_set, temperature=temperature, alpha=alpha, alone=alone)
    torch.testing.assert_close(float(loss), expected, rtol=1e-6, atol=1e-6)


@settings(max_examples=20)
@given(drawn=inputs())
def test_equal_positives_give_supcon(drawn: tuple[Tensor, ...]) -> None:
    queries, keys, labels, queue, memory_labels = drawn
    contrast = extended(extended(ContrastBatch.gathered([queries], labels), keys, labels), queue, memory_labels)
    found = sums(drawn, "batch_and_queue", 0.1)
    expected = supervised_contrast(contrast, temperature=0.1, classes=CLASSES)
    torch.testing.assert_close(decoupled_loss(found, 1.0 / (1.0 + found.count)), expected)


@settings(max_examples=20)
@given(drawn=inputs(), seed=st.integers(0, 2**16))
def test_loss_does_not_depend_on_the_order_of_images_and_queue(drawn: tuple[Tensor, ...], seed: int) -> None:
    queries, keys, labels, queue, memory_labels = drawn
    generator = torch.Generator().manual_seed(seed)
    rows, slots = (torch.randperm(len(part), generator=generator) for part in (queries, queue))
    other = queries[rows], keys[rows], labels[rows], queue[slots], memory_labels[slots]
    losses = [decoupled_loss(sums(each, "batch_and_queue", 0.1), 0.2) for each in (drawn, other)]
    torch.testing.assert_close(*losses)


def test_weight_scales_the_loss_of_its_anchor() -> None:
    one = dict(own=torch.zeros(2), others=torch.zeros(2), count=torch.ones(2), log_z=torch.tensor([1.0, 3.0]))
    loss = decoupled_loss(AnchorSums(**one), 0.5, weight=torch.tensor([2.0, 4.0]))
    assert float(loss) == (2.0 * 1.0 + 4.0 * 3.0) / 2


@settings(max_examples=30)
@given(rows=st.integers(1, 3), count=st.integers(1, 3), memory=st.integers(0, 5), seed=st.integers(0, 2**16))
def test_self_distillation_equals_a_double_loop(rows: int, count: int, memory: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, 3, generator=generator, dtype=torch.float64)  # noqa: E731
    teacher, student = (torch.nn.functional.normalize(draw(rows, count), dim=2) for _ in range(2))
    keys, queue = unit(draw(rows)), unit(draw(memory))
    loss = self_distillation_loss(teacher, student, keys, memory=queue, temperature=0.2)
    values = []
    for i in range(rows):
        bank = [keys[i], *queue]
        for j in range(count):
            target = [math.exp(float(teacher[i, j] @ row) / 0.2) for row in bank]
            found = [math.exp(float(student[i, j] @ row) / 0.2) for row in bank]
            values.append(-sum(t / sum(target) * math.log(f / sum(found)) for t, f in zip(target, found, strict=True)))
    torch.testing.assert_close(float(loss), sum(values) / len(values), rtol=1e-9, atol=1e-9)


def test_region_of_whole_cells_is_the_mean_of_its_bins() -> None:
    feature_map = torch.arange(16.0).view(1, 1, 4, 4)
    boxes = torch.tensor([[[2.0, 2.0, 6.0, 6.0], [0.0, 0.0, 8.0, 8.0]]])
    pooled = region_features(feature_map.expand(1, 3, 4, 4), boxes, stride=2)
    assert pooled.shape == (1, 2, 3)
    # Cells lie at whole coordinates (aligned=False): the box [1, 3] x [1, 3] has its middle at (2, 2).
    assert pooled[0, 0].tolist() == [10.0] * 3


@pytest.mark.parametrize(("image_size", "stride_two_side"), [(224, 64), (96, 27), (32, 9), (16, 5), (8, 2), (4, 2)])
def test_patches_follow_the_size_of_the_view(new_context, image_size: int, stride_two_side: int) -> None:
    stage = DecoupledContrast(DSCLKnobs(), replace(new_context(COUNTS), image_size=image_size))
    patches = stage.views[2]
    assert isinstance(patches, Patches)
    assert (patches.of, patches.count, patches.size) == ("query", 5, stride_two_side)
    assert (patches.scale, patches.boxes) == ((0.05, 0.6), "area")


def test_queue_follows_the_training_set_unless_it_is_given(new_context) -> None:
    sizes = {size: DecoupledContrast(DSCLKnobs(queue_size=size), new_context([100, 30])).queue.size for size in (0, 9)}
    assert sizes == {0: 65, 9: 9}
    large = DecoupledContrast(DSCLKnobs(projection_width=2), new_context([200_000, 30])).queue
    assert large.size == 65_536


def test_queue_kinds(new_context) -> None:
    knobs = DSCLKnobs(**SMALL)
    assert isinstance(DecoupledContrast(knobs, new_context(COUNTS)).queue, KeyQueue)
    balanced = DecoupledContrast(knobs.replace(queue_kind="balanced"), new_context(COUNTS)).queue
    assert isinstance(balanced, ClassQueue)
    assert balanced.labels.tolist() == [0, 0, 1, 1, 2, 2]


def batch_of(rows: int, seed: int = 0, *, patches: int = 2) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    views = {name: torch.randn(rows, 3, 8, 8, generator=generator) for name in ("query", "key")}
    views["patches"] = torch.randn(rows, patches, 3, 4, 4, generator=generator)
    corners = torch.rand(rows, patches, 2, generator=generator) * 4
    boxes = torch.cat([corners, corners + 3.0], dim=2)
    return Batch(views, torch.randint(3, (rows,), generator=generator), torch.arange(rows), boxes)


@pytest.mark.parametrize(
    "switch",
    [
        dict(),
        dict(queue_start="empty"),
        dict(queue_kind="balanced"),
        dict(loss="supervised"),
        dict(contrast_set="queue"),
        dict(alone="alpha"),
        dict(effective_number_beta=0.9),
        dict(distillation_weight=0.0),
    ],
    ids=str,
)
@pytest.mark.parametrize("rows", [2, 9])
def test_every_option_trains_on_any_batch(new_context, switch: dict[str, Any], rows: int) -> None:
    stage = DecoupledContrast(DSCLKnobs(**SMALL, **switch), new_context(COUNTS))
    set_training_mode(stage)
    for step in range(2):
        terms = stage(batch_of(rows, step))
        assert all(torch.isfinite(value) for value in terms.values())
        assert ("distillation" in terms) is (switch.get("distillation_weight", 1.0) > 0.0)
        sum(terms.values()).backward()
    trained = {name for name, p in stage.named_parameters() if p.requires_grad}
    assert trained == {name for name, p in stage.named_parameters() if p.grad is not None}
    assert trained == {n for n, _ in stage.named_parameters() if n.startswith(("network.backbone.", "projector."))}


def test_options_change_the_loss(new_context) -> None:
    losses = {}
    for switch in ({}, {"loss": "supervised"}, {"contrast_set": "queue"}, {"effective_number_beta": 0.9}):
        torch.manual_seed(0)
        stage = DecoupledContrast(DSCLKnobs(**SMALL, **switch), new_context(COUNTS))
        losses[str(switch)] = float(stage(batch_of(6))["contrastive"].detach())
    assert len(set(losses.values())) == 4


def test_low_precision_is_close_to_float32(new_context) -> None:
    stage = DecoupledContrast(DSCLKnobs(**SMALL), new_context(COUNTS))
    state = {name: value.clone() for name, value in stage.state_dict().items()}
    exact = stage(batch_of(8))
    stage.load_state_dict(state)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms = stage(batch_of(8))
    for name, value in terms.items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, exact[name], rtol=0.05, atol=0.0)


def test_only_the_student_side_has_gradient(new_context) -> None:
    stage = DecoupledContrast(DSCLKnobs(**SMALL), new_context(COUNTS))
    batch = batch_of(4)
    for view in batch.views.values():
        view.requires_grad_(True)
    stage(batch)["distillation"].backward()
    assert batch["patches"].grad is not None and batch["patches"].grad.abs().sum() > 0
    assert batch["query"].grad is None and batch["key"].grad is None


def test_each_set_of_patches_has_its_own_statistics(new_context) -> None:
    stage = DecoupledContrast(DSCLKnobs(**SMALL), new_context(COUNTS))
    stage(batch_of(4))
    assert stage.network.backbone.norm.num_batches_tracked == 1 + 2  # the view and two sets of patches
    assert stage.key_encoder.copy[0].norm.num_batches_tracked == 1


def test_epochs_are_compared_by_class_means(new_context) -> None:
    stage = DecoupledContrast(DSCLKnobs(**SMALL), new_context(COUNTS))
    images = torch.randn(5, 3, 8, 8)
    stage.eval()
    assert stage.logits(images).tolist() == [[0.0] * 3] * 5  # defined also before the first step
    stage.train()
    for step in range(4):
        stage(batch_of(9, step))
    stage.eval()
    before = {name: value.clone() for name, value in stage.state_dict().items()}
    assert stage.logits(images).abs().max() <= 1.0 + 1e-6
    assert all(torch.equal(value, before[name]) for name, value in stage.state_dict().items())


@pytest.mark.parametrize(("name", "blocks"), [("resnet32", 15), ("resnet50", 16)])
def test_zero_start_makes_every_block_the_identity(name: str, blocks: int) -> None:
    backbone = new_backbone(name)
    context = BuildContext(LongTail((9, 3)), lambda kind: Network(backbone, new_classifier(kind, width=1, classes=2)))
    knobs = DSCLKnobs(zero_start=True, distillation_weight=0.0, **(SMALL | dict(patches=1)))
    stage = DecoupledContrast(knobs, context)
    for encoder in (backbone, stage.key_encoder.copy[0]):
        norms = [module for module in encoder.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        assert sum(norm.weight.abs().sum() == 0 for norm in norms) == blocks


def test_second_stage_reads_the_backbone_of_the_first(new_context) -> None:
    torch.manual_seed(0)
    first, second = METHOD.stages(DSCLKnobs(**SMALL), new_context(COUNTS))
    assert second.network.backbone is first.network.backbone
    classifier = second.network.classifier
    assert classifier.bias.tolist() == [0.0] * 3
    assert 0.003 < float(classifier.weight.detach().std()) < 0.03
    assert second.sampling == "class_balanced"
    assert [view.augmentation for view in second.views] == ["dscl_query"]


@pytest.mark.parametrize(("features", "moves"), [("shifting", True), ("fixed", False)])
def test_second_stage_trains_only_the_classifier(new_context, features: str, moves: bool) -> None:
    _, second = METHOD.stages(DSCLKnobs(linear_features=features, **SMALL), new_context(COUNTS))
    set_training_mode(second)
    before = second.network.backbone.norm.running_mean.clone()
    batch = Batch({"image": torch.randn(6, 3, 8, 8)}, torch.tensor([0, 1, 2, 0, 1, 2]), torch.arange(6))
    second(batch)["classification"].backward()
    assert {name for name, p in second.named_parameters() if p.grad is not None} == {
        "network.classifier.weight",
        "network.classifier.bias",
    }
    assert torch.equal(second.network.backbone.norm.running_mean, before) is not moves


def test_second_stage_on_cached_features(new_context) -> None:
    _, second = METHOD.stages(DSCLKnobs(linear_features="cached", **SMALL), new_context(COUNTS))
    assert (second.source, [view.name for view in second.views]) == ("features", ["features"])
    batch = Batch({"features": torch.randn(4, 6)}, torch.tensor([0, 1, 2, 0]), torch.arange(4))
    assert torch.isfinite(second(batch)["classification"])


def test_first_stages_schedule_is_the_official_one(golden) -> None:
    data = golden("decoupled/schedules")
    recipe = DSCLKnobs.defaults("imagenet_lt")
    steps = 1000
    ours = [
        learning_rate(recipe, epoch=int(epoch), step=round(epoch % 1 * steps), steps=steps)
        for epoch in data["dscl_pretrain/epoch"].tolist()
        if epoch < recipe.epochs
    ]
    assert len(ours) >= 10
    assert ours == pytest.approx(data["dscl_pretrain/lr"][: len(ours)].tolist(), rel=1e-9, abs=1e-12)


def test_linear_stages_schedule_is_the_official_one(golden) -> None:
    recipe = linear_knobs(DSCLKnobs.defaults("imagenet_lt"))
    ours = [learning_rate(recipe, epoch=epoch) for epoch in range(recipe.epochs)]
    assert ours == pytest.approx(golden("decoupled/schedules")["dscl_linear/lr"].tolist(), rel=1e-12)
    assert (recipe.batch_size, recipe.weight_decay) == (2048, 0.0)


def test_shorter_run_shortens_both_stages() -> None:
    knobs = DSCLKnobs.resolve("imagenet_lt", {"epochs": 20})
    assert (knobs.warmup_epochs, knobs.linear_epochs) == (1, 4)
    assert linear_knobs(knobs).milestones == (2, 3)
    assert linear_knobs(DSCLKnobs.resolve("imagenet_lt", {"epochs": 1})).epochs == 1


def test_alpha_of_the_code() -> None:
    alpha = DSCLKnobs().alpha
    assert (1.0 - alpha) / alpha == pytest.approx(8.0)


def test_invalid_knobs_are_refused() -> None:
    with pytest.raises(UsageError, match="patch_scale_low <= patch_scale_high"):
        DSCLKnobs(patch_scale_low=0.7)
    with pytest.raises(UsageError, match="alpha"):
        DSCLKnobs(alpha=0.0)
    with pytest.raises(UsageError, match="Did you mean `area`"):
        DSCLKnobs(patch_boxes="areas")
