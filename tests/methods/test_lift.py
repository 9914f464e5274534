"""LIFT compared with the authors' code: losses, training steps, metrics, initial classifier, trained parameters."""

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from ltray.data.definition import DatasetDefinition
from ltray.data.transforms.geometry import square_boxes
from ltray.data.transforms.policies import evaluation
from ltray.data.views import EpochPosition, ViewMaker
from ltray.engine.evaluation import Evaluation
from ltray.engine.memory_session import MemorySession
from ltray.engine.optimizers import new_optimizer
from ltray.engine.train_step import set_training_mode, train_step, trained_parameters
from ltray.errors import UsageError
from ltray.experiment import Experiment
from ltray.long_tail import LongTail
from ltray.lr_schedule import learning_rate
from ltray.methods import METHODS
from ltray.methods.lift.crops import CROP_SCHEDULES, smallest_areas
from ltray.methods.lift.losses import LOSSES, LossSettings, likelihood_ratio
from ltray.methods.lift.method import LIFT, METHOD, LIFTKnobs
from ltray.network import Network
from ltray.parts.fine_tuning import tune
from ltray.parts.heads import CLASSIFIERS, new_classifier
from ltray.parts.mean_features import class_means
from ltray.parts.timm_backbones import TimmBackbone
from ltray.pretraining import announced
from ltray.stage import Batch, BuildContext
from ltray.testing import contract
from tests.methods.small_backbones import SmallResNet, saved_in

THEIRS = {
    "cross_entropy": "CE", "focal": "Focal", "ldam": "LDAM", "class_balanced": "CB", "inverse_frequency": "GRW",
    "logit_adjustment": "LA", "lade": "LADE",
}  # fmt: skip


@pytest.mark.parametrize("case", ["tiny", "k100"])
@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_and_its_gradient_equal_the_authors(golden, case: str, name: str) -> None:
    z = golden("lift_losses")
    tail = LongTail(tuple(z[f"{case}/counts"].tolist()))
    rel = 3e-9 if name == "lade" else 1e-12  # 1/K is float32 there
    for factor, theirs in ((1.0, THEIRS[name]), *([(1.5, "LA_tau1.5")] if name == "logit_adjustment" else [])):
        scores = torch.from_numpy(z[f"{case}/logits"]).requires_grad_()
        loss = LOSSES[name](LossSettings(tail, factor, 25.0)).double()(scores, torch.from_numpy(z[f"{case}/labels"]))
        loss.backward()
        assert loss.item() == pytest.approx(float(z[f"{case}/{theirs}/loss"]), rel=rel)
        np.testing.assert_allclose(scores.grad, z[f"{case}/{theirs}/grad_logits"], rtol=1e-7, atol=3e-9 * rel / 1e-9)


def test_a_class_without_images_in_the_batch_changes_no_bound_to_nan() -> None:
    scores = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    likelihood_ratio(scores, torch.tensor([0, 0, 2, 0]), torch.tensor([0.5, 0.3, 0.2]).log()).backward()
    assert torch.isfinite(scores.grad).all()


def official_transformer(z: Any) -> TimmBackbone:
    width, layers, heads, size, patch = (
        int(z[f"plain/config/{key}"]) for key in ("width", "layers", "heads", "resolution", "patch")
    )
    body = VisionTransformer(
        img_size=size, patch_size=patch, embed_dim=width, depth=layers, num_heads=heads, num_classes=0
    )
    body.pretrained_cfg = {"fixed_input_size": True, "architecture": "small"}
    weights = {key.removeprefix("plain/w/"): value for key, value in z.items() if key.startswith("plain/w/")}
    body.load_state_dict({key: torch.from_numpy(value).double() for key, value in weights.items()})
    return TimmBackbone(body).double()


def ours(theirs: str) -> str:
    """Return our name of a trained parameter, from the authors' name."""
    if theirs == "head/weight":
        return "classifier.weight"
    block, part = theirs.removeprefix("tuner/adaptformer_list.").split(".", 1)
    part = part.replace("ln.", "norm.").replace("down_proj", "down").replace("up_proj", "up")
    return f"blocks.{block}|{part}"


def parameter_of(network: Network, theirs: str) -> nn.Parameter:
    block, _, part = ours(theirs).partition("|")
    found = [p for name, p in network.named_parameters() if block in name and name.endswith(part) and p.requires_grad]
    assert len(found) == 1, (theirs, [name for name, _ in network.named_parameters()])
    return found[0]


def test_steps_of_training_equal_the_authors(golden) -> None:
    """The engine's step, optimizer and schedule on the authors' network, from their start."""
    z = golden("lift_steps")
    config = {key.removeprefix("plain/config/"): value for key, value in z.items() if "plain/config/" in key}
    backbone = official_transformer(z)
    classes = int(config["K"])
    tune(backbone, "adaptformer", classes=classes, size=int(config["bottleneck"]))
    network = Network(backbone, new_classifier("cosine", width=backbone.width, classes=classes)).double()
    knobs = LIFTKnobs(
        epochs=int(config["epochs"]), milestones=(), learning_rate=float(config["lr"]),
        momentum=float(config["momentum"]), weight_decay=float(config["weight_decay"]),
        classifier_scale=float(config["scale"]),
    )  # fmt: skip
    tail = LongTail(tuple(config["counts"].tolist()))
    (stage,) = METHOD.stages(knobs, BuildContext(tail, lambda kind: network, None, 8))
    stage.double()
    set_training_mode(stage)
    names = [key.removeprefix("plain/init/") for key in z if key.startswith("plain/init/")]
    assert len(names) == len(z["plain/trainable"]) and trained_parameters(stage)[0] == sum(
        z[f"plain/init/{name}"].size for name in names
    )
    with torch.no_grad():
        for name in names:
            own = parameter_of(network, name)
            own.copy_(torch.from_numpy(z[f"plain/init/{name}"]).view_as(own))
    optimizer = new_optimizer(stage)
    batches = sorted({key.split("/")[1] for key in z if key.startswith("plain/batch")})
    for epoch in range(knobs.epochs):
        for place, batch in enumerate(batches):
            step = epoch * len(batches) + place
            images, labels = (torch.from_numpy(z[f"plain/{batch}/{key}"]) for key in ("images", "labels"))
            rate = learning_rate(knobs, epoch=epoch)
            assert rate == pytest.approx(float(z[f"plain/iter{step}/lr"]), rel=1e-12)
            terms = train_step(
                stage, Batch({"image": images}, labels, torch.arange(len(labels))), optimizer, rate=rate,
                precision="float32",
            )  # fmt: skip
            assert terms["classification"].item() == pytest.approx(float(z[f"plain/iter{step}/loss"]), rel=1e-10)
            for name in names:
                own, expected = parameter_of(network, name), z[f"plain/update{step}/{name}"]
                np.testing.assert_allclose(own.detach().reshape(expected.shape), expected, rtol=1e-9, atol=1e-12)


def test_metrics_equal_the_authors(golden) -> None:
    z = golden("lift_eval")
    found = Evaluation.of(torch.from_numpy(z["logits"]), torch.from_numpy(z["labels"]))
    metrics = found.metrics(LongTail(tuple(z["counts"].tolist())), "test")
    theirs = {
        "acc_all": "accuracy", "macro_f1": "macro_f1", "worst_class": "worst_case_acc", "geometric_mean": "gmean_acc",
        "acc_many": "many_acc", "acc_medium": "med_acc", "acc_few": "few_acc", "balanced_accuracy": "mean_acc",
    }  # fmt: skip
    for name, key in theirs.items():
        assert 100 * metrics[f"test/{name}"] == pytest.approx(float(z[key]), rel=1e-12), name


class Plain:
    """Training images without augmentation; their features are the images."""

    class_names = ("cat", "dog", "elk")

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels = images, labels

    def features(self, network: nn.Module) -> Tensor:
        """Return the features of all images."""
        return network(self.images)


@pytest.mark.parametrize("kind", CLASSIFIERS)
@pytest.mark.parametrize("start", ["class_mean", "text", "random"])
def test_every_classifier_starts_from_every_start(new_context, kind: str, start: str) -> None:
    images, labels = torch.randn(30, 5), torch.arange(30) % 3
    text = torch.randn(3, 5)
    seen = []
    context = new_context([10, 10, 10], width=5)
    context = BuildContext(
        context.tail, context.new_network, None, 8, text_rows=lambda names: seen.append(tuple(names)) or text
    )
    (stage,) = METHOD.stages(LIFTKnobs(classifier=kind, classifier_start=start), context)
    before = stage.network.classifier.weight.detach().clone()
    stage.prepare(Plain(images, labels))
    expected = {"class_mean": class_means(images, labels, classes=3), "text": text, "random": before}[start]
    assert torch.equal(stage.network.classifier.weight, expected)
    assert seen == ([Plain.class_names] if start == "text" else [])
    if kind == "linear" and start != "random":
        assert not stage.network.classifier.bias.any()
    if kind == "cosine" and start == "class_mean":
        cosines = F.cosine_similarity(images[:, None], expected[None], dim=2)
        torch.testing.assert_close(stage.logits(images), 25.0 * cosines)


def test_text_without_a_text_tower_is_an_error_with_the_remedy(new_context) -> None:
    with pytest.raises(UsageError, match=r"needs a CLIP model .*`openclip/ViT-B-16`"):
        METHOD.stages(LIFTKnobs(classifier_start="text"), new_context([3, 2]))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return saved_in(tmp_path_factory.mktemp("weights"))


def small(network: dict[str, Any], **settings: Any) -> Experiment:
    own = {"methods": ["lift"], "lift.epochs": 2, "lift.batch_size": 16, "dataset.validation_per_class": 2}
    own |= {"dataset.largest_class": 8, "dataset.imbalance_factor": 4}
    return contract.small_experiment(own | network | {name.replace("__", "."): v for name, v in settings.items()})


@pytest.mark.parametrize(("name", "train"), [("small_transformer", "adaptformer"), ("SmallResNet", "head")])
def test_default_trained_part_works_on_every_network(weights: dict[str, Any], name: str, train: str) -> None:
    run = small(weights[name])
    assert run.network.train == train and small({}).network.train == "all"
    tail = LongTail((8, 7, 6, 6, 5, 4, 4, 3, 3, 2))
    (stage,) = run.stages(tail)
    assert isinstance(stage, LIFT)
    set_training_mode(stage)
    trained, every = trained_parameters(stage)
    assert 0 < trained < every
    line = f"train: {train}; {trained:,} of {every:,} parameters are trained ({trained / every:.1%})"
    assert line in announced(run, "", tail)


@pytest.mark.parametrize("train", ["adaptformer", "prompts"])
def test_parts_of_transformers_are_an_error_elsewhere(weights: dict[str, Any], train: str) -> None:
    with pytest.raises(UsageError, match="here `train` can be all, head, last_block, norms, biases"):
        small(weights["SmallResNet"], train=train).stages(LongTail((3, 2)))


def test_frozen_transformer_resumes_exactly_and_does_not_change(weights: dict[str, Any]) -> None:
    run = small(weights["small_transformer"])
    assert contract.check_resume(run) >= 1
    whole = contract.run(run, MemorySession())
    start = torch.load(weights["small_transformer"]["weights"], weights_only=True)
    for name, value in start.items():
        assert torch.equal(whole.state[f"0.network.backbone.body.{name}"], value), f"{name} moved"


@pytest.mark.parametrize("schedule", CROP_SCHEDULES)
@pytest.mark.parametrize("epochs", [5, 10, 15])
def test_the_smallest_crops_equal_the_authors(golden, schedule: str, epochs: int) -> None:
    expected = golden("lift_mda")[f"{schedule}/E{epochs}"]
    np.testing.assert_allclose(smallest_areas(schedule, epochs), expected, rtol=1e-12)


def test_a_single_epoch_is_the_first() -> None:
    assert smallest_areas("convex", 1) == (0.08,) and smallest_areas("convex", 0) == ()


def official_draws(seed: int, size: tuple[int, int], scale: tuple[float, float], count: int) -> Tensor:
    """The draws of the authors' generator, as uniform numbers: the area, then row and column of the corner."""
    (width, height), found = size, []
    torch.manual_seed(seed)
    largest = min(width, height) ** 2 / (width * height)
    low, high = (min(end, largest) * width * height for end in scale)
    for _ in range(count):
        area = torch.empty(1).uniform_(low, high).item()
        side = round(math.sqrt(area))
        top, left = (int(torch.randint(0, room - side + 1, (1,))) for room in (height, width))
        share = (area - low) / (high - low)
        found.append([share, (left + 0.5) / (width - side + 1), (top + 0.5) / (height - side + 1)])
    return torch.tensor(found, dtype=torch.float64)


@pytest.mark.parametrize("size", [(32, 32), (500, 375), (300, 450)])
def test_square_crops_equal_the_authors_for_the_same_draws(golden, size: tuple[int, int]) -> None:
    z = {key.rpartition("/")[2]: value for key, value in golden("lift_mda").items() if f"boxes/{size[0]}x" in key}
    scale = tuple(z["scale"].tolist())
    draws = official_draws(int(z["seed"]), size, scale, len(z["ijhw"]))
    boxes = square_boxes(draws, limits=torch.tensor(size), scale=scale)
    top, left, height, width = z["ijhw"].T
    np.testing.assert_array_equal(boxes, np.stack([left, top, left + width, top + height], axis=1))


@given(width=st.integers(1, 400), height=st.integers(1, 400), low=st.floats(0.01, 1.0), seed=st.integers(0, 2**31))
def test_square_crops_are_inside_the_image_and_in_the_range(width: int, height: int, low: float, seed: int) -> None:
    draws = torch.rand(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    x1, y1, x2, y2 = square_boxes(draws, limits=torch.tensor([width, height]), scale=(low, 1.0)).unbind(1)
    side = x2 - x1
    assert torch.equal(side, y2 - y1) and int(side.min()) >= 1
    assert int(x1.min()) >= 0 and int(y1.min()) >= 0 and int(x2.max()) <= width and int(y2.max()) <= height
    smallest = min(math.sqrt(low * width * height), min(width, height))
    assert float(side.min()) >= smallest - 0.5 - 1e-9


def test_minimalist_views_grow_to_the_complete_image_and_are_not_flipped() -> None:
    definition = DatasetDefinition(name="ramp", source="digits", image_size=8)
    knobs = LIFTKnobs(augmentation="minimalist", epochs=3)
    network = Network(SmallResNet(), new_classifier("cosine", width=4, classes=2))
    (stage,) = METHOD.stages(knobs, BuildContext(LongTail((2, 1)), lambda kind: network, None, 8))
    maker = ViewMaker(stage.views, definition, seed=1)
    image = torch.arange(192, dtype=torch.uint8).view(1, 1, 3, 8, 8).expand(16, 1, 3, 8, 8)
    last, _ = maker.of_images(image, EpochPosition(2, torch.arange(16)))
    whole = evaluation(image[:, 0], image_size=8, mean=definition.mean, std=definition.std)
    torch.testing.assert_close(last["image"], whole)
    first, _ = maker.of_images(image, EpochPosition(0, torch.arange(16)))
    assert not torch.equal(first["image"], whole)
    assert (first["image"][..., -1] >= first["image"][..., 0]).all()  # not mirrored
    cuts = maker.cuts(
        torch.arange(16)[:, None], torch.tensor([30, 50]).expand(16, 1, 2), EpochPosition(2, torch.arange(16))
    )
    assert (cuts.boxes[..., 2] - cuts.boxes[..., 0] == 30).all() and (cuts.boxes[..., 3] <= 30).all()


ONE_VIEW = ("cross_entropy", "balanced_softmax", "logit_adjustment", "focal", "class_balanced", "mixup", "bcl", "proco")


@pytest.mark.parametrize("method", ONE_VIEW)
@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_methods_with_a_choice_of_classifier_build_it_on_every_network(new_context, method: str, kind: str) -> None:
    scale = {"classifier_scale": 17.0} if kind == "cosine" else {}
    knobs = METHODS[method].knobs.resolve("cifar10_lt", {"classifier": kind, **scale})
    (stage,) = METHODS[method].stages(knobs, new_context([9, 3, 2]))
    plain = new_classifier(kind, width=6, classes=3)
    plain.load_state_dict(stage.network.classifier.state_dict())
    features = torch.randn(4, 6)
    if kind == "cosine":
        plain.scale = 17.0
    assert torch.equal(stage.network.classifier(features), plain(features))


@pytest.mark.parametrize("kind", ["cosine", "l2", "layer_norm"])
def test_one_versus_all_losses_refuse_a_classifier_without_bias(new_context, kind: str) -> None:
    knobs = METHODS["class_balanced"].knobs(loss="focal", classifier=kind)
    with pytest.raises(UsageError, match="need a classifier with bias"):
        METHODS["class_balanced"].stages(knobs, new_context([3, 2]))
