"""Every method memorizes a few images, with any augmentation of its views."""

import pytest

from ltray.methods import METHODS
from ltray.parts.resnet32 import ResNet32
from ltray.testing.overfit import learned

# Two steps per epoch with a constant learning rate: the test is only whether the losses allow it.
FAST = {"epochs": 15, "batch_size": 12, "learning_rate": 0.05, "warmup_epochs": 0, "schedule": "constant"}
OWN = {
    "rescom": {"queue_size": 4, "hard_negatives": 4},
    "ride": {"routing_epochs": 2, "routing_batch_size": 12, "routing_top": 3},
    "ride_distilled": {"epochs": 30, "routing_epochs": 0},
    "dscl": {"linear_epochs": 6, "linear_batch_size": 12, "linear_learning_rate": 0.5},
    "linear_probe": {"epochs": 100, "learning_rate": 1.0},  # on features of random weights
    "dlsa": {"epochs": 5, "batch_size": 12, "clusters": 3, "classifier_epochs": 8, "classifier_batch_size": 8},
}
EXPERTS = ("ride", "ride_distilled")  # their bodies are those of a ResNet-32, which takes seconds


def ways_of_a_method(name):
    """The methods to train, and their settings."""
    before = {"ride_distilled": "ride"}.get(name, "cross_entropy")
    names = [before, name] if METHODS[name].needs_network else [name]
    settings = {}
    for each in names:
        trains = METHODS[each].knobs.specs()["epochs"].high != 0
        settings[each] = (FAST if trains else {}) | OWN.get(each, {})
    return [METHODS[each] for each in names], settings


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in EXPERTS else name for name in METHODS]
)
def test_method_memorizes_its_images(name):
    methods, settings = ways_of_a_method(name)
    backbone = {"new_backbone": ResNet32} if name in EXPERTS else {}
    assert learned(methods, settings, **backbone)[-1] >= 0.99
