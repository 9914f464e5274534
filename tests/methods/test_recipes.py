"""Recipes of every method on every data set, compared with `tests/golden/recipes.json` and the authors' schedules.

Independent of ltray are the schedules in OFFICIAL, which the authors' code printed, and the values in PUBLISHED, taken
from papers and scripts. The entries of `recipes.json` were ltray's own values when it was written: it shows that a
value changed, not that it is right, except where OFFICIAL or PUBLISHED hold it too. A change of a published value
changes the file by hand, with its source.
"""

import json
import math

import numpy as np
import pytest

from ltray.engine.optimizers import new_optimizer
from ltray.engine.train_step import set_training_mode
from ltray.long_tail import LongTail
from ltray.lr_schedule import learning_rate
from ltray.methods import METHODS
from ltray.network import Network
from ltray.parts.heads import new_classifier
from ltray.parts.resnet32 import ResNet32
from ltray.stage import BuildContext
from ltray.testing.overfit import TinyBackbone
from tests.paths import GOLDEN

PROFILES = ("cifar10_lt", "cifar100_lt", "imagenet_lt", "places_lt", "inat18", "digits_lt")
RECIPES = json.loads((GOLDEN / "recipes.json").read_text())
CLASSES = 300  # large enough for every published queue and router
RESIDUAL = ("ride", "ride_distilled", "dscl")  # these methods change blocks of a residual network
SHARES = (0.0, 0.25, 0.5, 0.6, 0.75, 0.8, 0.9, 1.0)


def stages_of(name, profile):
    backbone = ResNet32 if name in RESIDUAL else TinyBackbone

    def network(kind):
        built = backbone()
        return Network(built, new_classifier(kind, width=built.width, classes=CLASSES))

    context = BuildContext(LongTail(tuple(range(CLASSES + 4, 4, -1))), network, network("linear"), 32)
    knobs = METHODS[name].knobs.defaults(profile)
    return METHODS[name].stages(knobs, context)


def watched_epochs(epochs):
    """Return the first epochs, the last, and the epochs around changes of schedules."""
    near = {round(share * epochs) + step for share in SHARES for step in (-1, 0, 1)} | {4, 5, 9, 10}
    return sorted(epoch for epoch in near if 0 <= epoch < epochs)


def written_down(stage):
    """Return the recipe of a stage in the form of the file."""
    set_training_mode(stage)
    optimizer = new_optimizer(stage)
    if optimizer is None:
        return "nothing is trained"
    recipe, groups = stage.recipe, optimizer.param_groups
    same = {(group["momentum"], group["weight_decay"], group["nesterov"]) for group in groups}
    assert len(same) == 1 and recipe.average_decay == 0.0 and recipe.precision == "float32"
    momentum, decay, nesterov = same.pop()
    rates = [learning_rate(recipe, epoch=epoch, step=1, steps=4) for epoch in watched_epochs(recipe.epochs)]
    return {
        "epochs": recipe.epochs,
        "batch": recipe.batch_size,
        "momentum": momentum,
        "weight_decay": decay,
        "nesterov": nesterov,
        "scales": [group.get("lr_scale", 1.0) for group in groups],
        "rates": [float(f"{rate:.6g}") for rate in rates],
    }


@pytest.mark.parametrize("profile", PROFILES)
def test_every_stage_trains_with_the_recorded_values(profile):
    assert RECIPES.keys() == METHODS.keys()
    for name in METHODS:
        assert [written_down(stage) for stage in stages_of(name, profile)] == RECIPES[name][profile], name


# method, profile, stage: epochs, batch, weight decay, peak of the learning rate, the last epoch's rate over the peak.
# DSCL on CIFAR-100-LT and LDAM on ImageNet-LT are not published.
PUBLISHED = {
    ("bcl", "cifar100_lt", 0): (200, 256, 5e-4, 0.15, 0.01),
    ("bcl", "imagenet_lt", 0): (90, 256, 5e-4, 0.1, 0.0),
    ("proco", "cifar100_lt", 0): (200, 256, 2e-4, 0.3, 0.01),
    ("proco", "imagenet_lt", 0): (90, 256, 5e-4, 0.1, 0.0),
    ("los", "cifar100_lt", 0): (20, 64, 0.0, 5e-4, 0.5 * (1 + math.cos(math.pi * 19 / 20))),
    ("paco", "cifar100_lt", 0): (400, 128, 5e-4, 0.05, 0.01),
    ("paco", "imagenet_lt", 0): (400, 128, 5e-4, 0.02, 0.0),
    ("rescom", "cifar100_lt", 0): (400, 128, 5e-4, 0.1, 0.01),
    ("rescom", "imagenet_lt", 0): (400, 256, 5e-4, 0.06, 1e-5),
    ("dscl", "imagenet_lt", 0): (200, 256, 5e-4, 0.1, 0.0),
    ("dscl", "imagenet_lt", 1): (40, 2048, 0.0, 10.0, 0.01),
    ("ldam", "cifar100_lt", 0): (200, 128, 2e-4, 0.1, 1e-4),
    ("cross_entropy", "cifar100_lt", 0): (200, 128, 2e-4, 0.1, 1e-4),
    ("cross_entropy", "imagenet_lt", 0): (90, 512, 5e-4, 0.2, 0.0),
}


@pytest.mark.parametrize(("name", "profile", "index"), PUBLISHED)
def test_recipes_file_has_the_published_values(name, profile, index):
    epochs, batch, decay, peak, end = PUBLISHED[name, profile, index]
    entry = RECIPES[name][profile][index]
    assert (entry["epochs"], entry["batch"], entry["weight_decay"]) == (epochs, batch, decay)
    assert (entry["momentum"], entry["nesterov"]) == (0.9, False)
    assert max(entry["rates"]) == pytest.approx(peak, rel=1e-3)
    assert entry["rates"][-1] == pytest.approx(end * peak, rel=1e-3, abs=4e-4 * peak)


# Official schedule: folder, method, profile, stage.
OFFICIAL = {
    "rescom_cifar": ("contrastive", "rescom", "cifar100_lt", 0),
    "rescom_imagenet_lt": ("contrastive", "rescom", "imagenet_lt", 0),
    "rescom_places_lt": ("contrastive", "rescom", "places_lt", 0),
    "rescom_inat18": ("contrastive", "rescom", "inat18", 0),
    "paco_imagenet_lt": ("contrastive", "paco", "imagenet_lt", 0),
    "paco_places_lt": ("contrastive", "paco", "places_lt", 0),
    "bcl_imagenet_lt": ("contrastive", "bcl", "imagenet_lt", 0),
    "bcl_inat18": ("contrastive", "bcl", "inat18", 0),
    "bcl_cifar200": ("contrastive", "bcl", "cifar100_lt", 0),
    "dscl_linear": ("decoupled", "dscl", "imagenet_lt", 1),
    "mislas_stage1_cos180": ("decoupled", "mixup", "imagenet_lt", 0),
    "mislas_stage1_cifar200": ("decoupled", "mixup", "cifar100_lt", 0),
    "ldam_cifar200": ("decoupled", "ldam", "cifar100_lt", 0),
    "dlsa_flow": ("decoupled", "dlsa", "cifar100_lt", 0),
    "proco_cifar_200": ("foundation", "proco", "cifar100_lt", 0),
    "proco_imagenet_lt_90": ("foundation", "proco", "imagenet_lt", 0),
    "proco_inat18_90": ("foundation", "proco", "inat18", 0),
    "los_stage2_20": ("foundation", "los", "cifar100_lt", 0),
    "ride_cifar": ("decoupled", "ride", "cifar100_lt", 0),
    "ride_imagenet": ("decoupled", "ride", "imagenet_lt", 0),
}


@pytest.mark.parametrize("name", OFFICIAL)
def test_published_setting_has_its_official_schedule(golden, name):
    folder, method, profile, index = OFFICIAL[name]
    recipe = stages_of(method, profile)[index].recipe
    official = golden(f"{folder}/schedules")[f"{name}/lr"]
    assert len(official) == recipe.epochs
    ours = [learning_rate(recipe, epoch=epoch) for epoch in range(recipe.epochs)]
    np.testing.assert_allclose(ours, official, rtol=1e-7)  # MiSLAS writes π with ten decimals


def test_second_stage_of_mislas_has_the_official_learning_rates(golden):
    stage = stages_of("las", "imagenet_lt")[0]
    set_training_mode(stage)
    factors, classifier = (group.get("lr_scale", 1.0) for group in new_optimizer(stage).param_groups)
    official = golden("decoupled/schedules")["mislas_stage2/lr"]
    rates = np.array([learning_rate(stage.recipe, epoch=epoch) for epoch in range(stage.recipe.epochs)])
    np.testing.assert_allclose(np.stack([classifier * rates, factors * rates], axis=1), official, rtol=1e-7)
