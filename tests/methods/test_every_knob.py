"""Every knob of every method has an effect: another value changes the run, or the declaration states why not."""

from dataclasses import replace

import pytest
from torch import nn

from ltray.methods import METHODS
from ltray.parts.momentum import MomentumCopy
from ltray.parts.resnet32 import BasicBlock, ResNet32
from ltray.recipe import Recipe
from ltray.stage import BuildContext
from ltray.testing.knob_contract import KnobTestbed, ignored_knobs
from ltray.testing.overfit import TinyBackbone, textures

SHORT = {"epochs": 3, "batch_size": 12, "learning_rate": 0.05, "warmup_epochs": 1, "milestones": (1, 2)}
EXPERTS = {"experts": 3, "routing_epochs": 1, "routing_batch_size": 12, "routing_top": 2, "reweight_epoch": 1}
OWN = {
    "rescom": {"queue_size": 4, "hard_negatives": 4},
    "ldam": {"reweight_epoch": 1},
    "ride": EXPERTS,
    "ride_distilled": EXPERTS,
    "dscl": {"linear_epochs": 4, "linear_batch_size": 12, "linear_learning_rate": 0.5},
    "dlsa": {"clusters": 3, "min_size": 3, "max_size": 20, "classifier_epochs": 1, "classifier_batch_size": 8},
}
WITHIN = {"milestones": (1, 2)}  # the run; second stages would follow it
STEPS = {"schedule": WITHIN, "decay": WITHIN, "milestones": WITHIN}
UNTRAINED = {"routing_positive_weight": {"learning_rate": 1e-3}}  # otherwise no further expert is used
ONLY_WITH = {name: STEPS for name in ("crt", "lws", "las", "lift", "linear_probe")} | {
    "dlsa": STEPS | {"optimizer": {"weight_decay": 0.1}},  # as for los
    "los": STEPS | {"optimizer": {"weight_decay": 0.1}},  # otherwise Adam and AdamW are equal
    "temperature": {"highest": {"highest": 0.02}},  # below the best value of this network
    "dscl": STEPS | {"alone": {"batch_size": 4, "queue_start": "empty", "queue_size": 1}},  # a class with one image
    "ride": UNTRAINED,
    "ride_distilled": UNTRAINED,
}
# Methods of residual networks have the most knobs: by default only their own knobs are tested, in shorter runs.
DEAR = {
    "dscl": {"epochs": 1, "warmup_epochs": 0, "linear_epochs": 1},
    "ride": {"epochs": 2, "milestones": (1,)},
    "ride_distilled": {"epochs": 1, "warmup_epochs": 0, "milestones": (1,), "routing_epochs": 0},
}
# Reasons why a knob does not change the run here, and the tests that cover it.
ONE_WORKER = "alike with one worker; test_batch_norm_of_the_key_encoder_follows_its_knob"
KEY_ENCODERS = ("paco", "moco", "dscl")
EXCEPTIONS = {(name, "key_batch_norm"): ONE_WORKER for name in KEY_ENCODERS} | {
    ("lift", "classifier_start"): "text needs a text tower; test_every_classifier_starts_from_every_start in test_lift",
    ("los", "mirrored"): "textures are classified like their mirror images; test_evaluation_is_on_the_mean in test_los",
}


class ShallowResNet(ResNet32):
    """A ResNet-32 with one block per stage, also in its experts."""

    def __init__(self):
        super().__init__()
        for layer in (self.layer1, self.layer2, self.layer3):
            del layer[1:]


@pytest.fixture
def shallow_experts(monkeypatch):
    monkeypatch.setattr(
        "ltray.methods.ride.experts.residual_stage", lambda i, o, stride: nn.Sequential(BasicBlock(i, o, stride))
    )


def new_testbed(name):
    method = METHODS[name]
    trained = method.knobs.specs()["epochs"].high != 0
    residual = name in ("ride", "ride_distilled", "dscl")
    backbone = ShallowResNet if residual else TinyBackbone
    settings = (SHORT if trained else {}) | OWN.get(name, {})
    if method.knobs.defaults("digits_lt").schedule != "step":
        settings.pop("milestones", None)
    return KnobTestbed(method, settings, ONLY_WITH.get(name, {}), new_backbone=backbone)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in DEAR else name for name in METHODS]
)
@pytest.mark.usefixtures("shallow_experts")
def test_every_knob_has_an_effect(name):
    found = ignored_knobs(new_testbed(name))
    assert {(name, knob): why for knob, why in found.items()}.keys() == {k for k in EXCEPTIONS if k[0] == name}, found


@pytest.mark.parametrize("name", DEAR)
@pytest.mark.usefixtures("shallow_experts")
def test_own_knobs_of_residual_network_methods_have_an_effect(name):
    testbed = new_testbed(name)
    testbed = KnobTestbed(testbed.method, {**testbed.settings, **DEAR[name]}, testbed.only_with, testbed.new_backbone)
    shared = METHODS["ride"].knobs if name == "ride_distilled" else Recipe
    own = [knob for knob in testbed.base.specs() if knob not in shared.specs() and not knob.startswith("linear_")]
    assert ignored_knobs(testbed, only=own).keys() == {knob for method, knob in EXCEPTIONS if method == name}


@pytest.mark.parametrize("name", KEY_ENCODERS)
def test_batch_norm_of_the_key_encoder_follows_its_knob(name):
    testbed = new_testbed(name)
    shuffled = {}
    for value in ("synchronised", "shuffled"):
        network = BuildContext(textures().tail, testbed.network, None, 8)
        stages = METHODS[name].stages(testbed.base.replace(key_batch_norm=value), network)
        shuffled[value] = [m.shuffled for s in stages for m in s.modules() if isinstance(m, MomentumCopy)]
    assert shuffled == {"synchronised": [False], "shuffled": [True]}


# A knob that its stage ignores, in every method that has it.
DEAF = [("focal", "probability"), ("gpaco", "smoothing"), ("bcl", "averaging"), ("las", "shape"), ("crt", "momentum")]


@pytest.mark.parametrize(("name", "knob"), DEAF)
def test_ignored_knob_is_detected(name, knob):
    testbed = new_testbed(name)
    usual = getattr(testbed.base, knob)
    stages = METHODS[name].stages
    deaf = replace(METHODS[name], stages=lambda knobs, context: stages(knobs.replace(**{knob: usual}), context))
    assert knob in ignored_knobs(KnobTestbed(deaf, testbed.settings, testbed.only_with), only=[knob])
