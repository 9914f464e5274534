"""LOS compared with the authors' code: the loss, the second stage with changing BatchNorm, mirror images."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltray.engine.train_step import set_training_mode
from ltray.long_tail import LongTail
from ltray.lr_schedule import learning_rate
from ltray.methods import los
from ltray.methods.los import LOSKnobs, smoothed_cross_entropy
from ltray.network import Backbone, Network
from ltray.stage import Batch, BuildContext

CASES = ("k10", "k100", "k1000", "tiny")


class Body(Backbone):
    """The golden file's body: a convolution, BatchNorm, ReLU, average."""

    stride = 1

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.conv = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(width)

    def feature_map(self, images: Tensor) -> Tensor:
        """Map (B, 3, H, W) to (B, width, H, W)."""
        return F.relu(self.bn(self.conv(images)))


class Flat(Backbone):
    """The flattened image."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, 3, H, W) to (B, 3HW)."""
        return images.flatten(1)


def deltas(z, case):
    return sorted({key.split("/")[1] for key in z if key.startswith(f"{case}/delta")})


@pytest.mark.parametrize("case", CASES)
def test_loss_and_gradient_equal_the_authors_code(golden, case):
    z = golden("los")
    labels = torch.from_numpy(z[f"{case}/labels"])
    assert deltas(z, case)
    for name in deltas(z, case):
        scores = torch.from_numpy(z[f"{case}/logits"]).requires_grad_()
        loss = smoothed_cross_entropy(scores, labels, smoothing=float(z[f"{case}/{name}/delta"]))
        loss.backward()
        assert loss.item() == pytest.approx(float(z[f"{case}/{name}/loss"]), rel=1e-10)
        np.testing.assert_allclose(scores.grad, z[f"{case}/{name}/grad_logits"], rtol=1e-9, atol=1e-15)
        single = smoothed_cross_entropy(scores.detach().float(), labels, smoothing=float(z[f"{case}/{name}/delta"]))
        assert single.item() == pytest.approx(float(z[f"{case}/{name}/loss_f32"]), rel=1e-5)


def golden_stage(z, **knobs):
    """Return the stage on the network of the authors' first stage."""
    classes, width = z["stage2/fc0.weight"].shape
    network = Network(Body(width), nn.Linear(width, classes)).double()
    state = {f"backbone.{key.removeprefix('stage2/body/')}": value for key, value in z.items() if "2/body/" in key}
    state |= {f"classifier.{kind}": z[f"stage2/fc0.{kind}"] for kind in ("weight", "bias")}
    network.load_state_dict({key: torch.from_numpy(value) for key, value in state.items()})
    config = {key.rpartition("/")[2]: value for key, value in z.items() if "stage2/config/" in key}
    values = {
        "learning_rate": float(config["lr"]),
        "momentum": float(config["momentum"]),
        "weight_decay": float(config["weight_decay"]),
        "epochs": int(config["epochs"]),
        "milestones": (),
        "batch_size": int(config["batch"]),
        "smoothing": float(config["delta"]),
    }
    tail = LongTail(tuple(z["stage2/counts"].tolist()))
    context = BuildContext(tail, lambda kind: network, network, 4)
    (stage,) = los.METHOD.stages(LOSKnobs(**values | knobs), context)
    return stage.double()


def test_second_stage_equals_the_authors_code(golden):
    z = golden("los")
    stage = golden_stage(z)
    recipe = stage.recipe
    optimizer = torch.optim.SGD(stage.parameter_groups(), lr=1.0, momentum=recipe.momentum, weight_decay=0.0)
    images, labels = torch.from_numpy(z["stage2/images"]), torch.from_numpy(z["stage2/labels"])
    for epoch in range(recipe.epochs):
        set_training_mode(stage)
        rate = learning_rate(recipe, epoch=epoch)
        assert rate == pytest.approx(float(z[f"stage2/epoch{epoch}/lr"]), rel=1e-9)
        optimizer.param_groups[0]["lr"] = rate
        for rows in torch.arange(len(labels)).split(recipe.batch_size):
            optimizer.zero_grad()
            stage(Batch({"image": images[rows]}, labels[rows], rows))["classification"].backward()
            optimizer.step()
        stage.eval()
        network = stage.network
        ours = {
            "fc.weight": network.classifier.weight,
            "fc.bias": network.classifier.bias,
            "bn.running_mean": network.backbone.bn.running_mean,
            "bn.running_var": network.backbone.bn.running_var,
            "val_logits": stage.logits(torch.from_numpy(z["stage2/val_images"])),
        }
        for name, value in ours.items():
            np.testing.assert_allclose(value.detach(), z[f"stage2/epoch{epoch}/{name}"], rtol=1e-9, atol=1e-12)


def test_fixed_features_do_not_change_the_statistics(golden):
    z = golden("los")
    stage = golden_stage(z, features="fixed")
    set_training_mode(stage)
    stage(
        Batch({"image": torch.from_numpy(z["stage2/images"])}, torch.from_numpy(z["stage2/labels"]), torch.arange(22))
    )
    np.testing.assert_array_equal(stage.network.backbone.bn.running_mean, z["stage2/body/bn.running_mean"])


def test_evaluation_averages_image_and_mirror_image(golden):
    z = golden("los")
    images = torch.from_numpy(z["flip/images"])
    weight, bias = torch.from_numpy(z["flip/weight"]), torch.from_numpy(z["flip/bias"])
    classifier = nn.Linear(weight.shape[1], len(weight)).double()
    classifier.load_state_dict({"weight": weight, "bias": bias})
    network = Network(Flat(weight.shape[1]), classifier)
    context = BuildContext(LongTail(tuple(range(len(weight) + 1, 1, -1))), lambda kind: network, network, 6)
    (mean,) = los.METHOD.stages(LOSKnobs(), context)
    np.testing.assert_allclose(mean.logits(images).detach(), z["flip/logits"], rtol=1e-12)
    (plain,) = los.METHOD.stages(LOSKnobs(mirrored=False), context)
    assert torch.equal(plain.logits(images), network(images))


def test_only_the_kept_classifier_is_trained(new_context):
    context = new_context([9, 3, 2], follow="linear")
    (stage,) = los.METHOD.stages(LOSKnobs(), context)
    assert list(stage.trained()) == [context.start.classifier] and stage.sampling == "natural"


def test_optimal_gap_follows_from_the_smoothing():
    classes, delta = 100, LOSKnobs().smoothing
    scores = torch.zeros(1, classes, dtype=torch.float64)
    scores[0, 3] = math.log(1 + classes * (1 - delta) / delta)
    scores.requires_grad_()
    smoothed_cross_entropy(scores, torch.tensor([3]), smoothing=delta).backward()
    assert scores.grad.abs().max() < 1e-12
