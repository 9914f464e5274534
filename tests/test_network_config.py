"""The network of a run: defaults, incompatible settings, and weights that are read once."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torchvision import models

from ltray.engine.checkpoint import Checkpoint, Position
from ltray.engine.memory_session import MemorySession
from ltray.engine.train_step import set_training_mode
from ltray.errors import UsageError
from ltray.experiment import Experiment, restore
from ltray.long_tail import LongTail
from ltray.results.predictions import TrainedModel
from ltray.testing import contract

LARGE = {"dataset": "digits-lt", "dataset.image_size": 224}
DATA = {"dataset.largest_class": 8, "dataset.imbalance_factor": 4, "dataset.validation_per_class": 2}
TINY = DATA | {"cross_entropy.epochs": 2}


def resolved(**settings: Any) -> dict[str, str]:
    given = {name.replace("__", "."): value for name, value in settings.items()}
    return Experiment.from_settings(LARGE | {"methods": ["cross_entropy"]} | given).network.settings()


def test_network_defaults_are_the_papers() -> None:
    assert resolved() == dict(backbone="resnet50", weights="random", train="all", bottleneck=0)
    assert resolved(dataset__image_size=32) == dict(backbone="resnet32", weights="random", train="all", bottleneck=0)
    places = dict(dataset__profile="places_lt")
    assert resolved(**places) == dict(backbone="resnet152", weights="imagenet", train="all", bottleneck=0)
    paco = resolved(**places, methods=["paco", "dlsa"])
    assert paco == dict(backbone="resnet152", weights="imagenet", train="norms_and_last_block", bottleneck=0)
    assert resolved(**places, weights="random", methods=["paco"])["train"] == "all"
    assert resolved(**places, backbone="resnext101_32x4d")["weights"] == "random"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(backbone="resnet5"), "Did you mean `resnet50`"),
        (dict(backbone="vit_b_16", dataset__image_size=96), "needs images of 224 pixels"),
        (dict(backbone="resnet32", weights="imagenet"), "for torchvision's backbones"),
        (dict(backbone="resnext101_32x4d", weights="imagenet"), "no ImageNet weights"),
        (dict(train="norms_and_last_block"), "would freeze random weights"),
        (dict(weights="w.pt", train="last_blocks"), "Did you mean `last_block`"),
        (dict(weights="w.pt", train="norms", bottleneck=4), "`bottleneck` has no effect: it needs train=adaptformer"),
        (dict(methods=["crt"], start="somewhere", backbone="resnet50"), "`backbone` has no effect"),
        (dict(methods=["tau_norm"], start="somewhere", weights="imagenet"), "`weights` has no effect"),
        (dict(methods=["bcl"], start="somewhere"), "a run to continue has no effect"),
    ],
)
def test_incompatible_network_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resolved(**settings)


def test_method_that_distils_from_its_start_builds_a_network() -> None:
    assert resolved(methods=["ride_distilled"], start="somewhere")["backbone"] == "resnet50"
    assert resolved(methods=["crt"], start="somewhere") == dict(backbone="", weights="", train="", bottleneck=0)


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        ("dscl", {"dscl.zero_start": False}, "distillation of patches"),
        ("dscl", {"dscl.distillation_weight": 0.0, "dscl.zero_start": True}, "`zero_start` has no effect"),
        ("ride", {}, "need a residual network"),
    ],
)
def test_transformer_is_refused_with_incompatible_methods(method: str, settings: dict[str, Any], message: str) -> None:
    experiment = Experiment.from_settings(LARGE | {"methods": [method], "backbone": "vit_b_16"} | settings)
    with pytest.raises(UsageError, match=message):
        experiment.planned_epochs(LongTail((20, 10)))


def test_methods_that_discard_pretrained_weights_refuse_them() -> None:
    settings = LARGE | {"backbone": "resnet50", "weights": "w.pt"}
    experiment = Experiment.from_settings(settings | {"methods": ["dscl"], "dscl.zero_start": True})
    with pytest.raises(UsageError, match="would undo pretrained weights"):
        experiment.planned_epochs(LongTail((20, 10)))
    experiment = Experiment.from_settings(settings | {"methods": ["ride"], "train": "norms_and_last_block"})
    with pytest.raises(UsageError, match="set `train` to all"):
        experiment.planned_epochs(LongTail((20, 10)))


def test_missing_file_is_named(tmp_path: Path) -> None:
    experiment = Experiment.from_settings(LARGE | {"methods": ["bcl"], "weights": str(tmp_path / "none.pt")})
    with pytest.raises(UsageError, match="but there is no"):
        experiment.network.check_file()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the state of a torchvision ResNet-50."""
    torch.manual_seed(1)
    file = tmp_path_factory.mktemp("weights") / "resnet50.pt"
    torch.save(models.resnet50().state_dict(), file)
    return file


def test_weights_are_read_only_for_a_new_run(weights: Path, tmp_path: Path) -> None:
    file, tail = tmp_path / "weights.pt", LongTail((4, 3))
    file.write_bytes(weights.read_bytes())
    settings = {"methods": ["paco"], "backbone": "resnet50", "weights": str(file), "train": "norms_and_last_block"}
    experiment = contract.small_experiment(settings)
    published = torch.load(file, weights_only=True)["conv1.weight"]
    (stage,) = experiment.stages(tail)
    set_training_mode(stage)
    assert torch.equal(stage.network.backbone.body.conv1.weight, published)
    assert not stage.network.backbone.body.conv1.weight.requires_grad
    assert torch.equal(stage.key_encoder.copy[0].body.conv1.weight, published)
    file.unlink()
    experiment.planned_epochs(tail)
    experiment.stages(tail, saved=Checkpoint(Position(), {}, {}, experiment.settings()))
    with pytest.raises(UsageError, match="there is no file"):
        experiment.stages(tail)


@pytest.mark.slow
def test_weights_are_read_once_and_frozen_parts_do_not_change(weights: Path, tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    file.write_bytes(weights.read_bytes())
    experiment = contract.small_experiment(
        TINY
        | {"methods": ["cross_entropy"], "cross_entropy.learning_rate": 0.01}
        | {"backbone": "resnet50", "weights": str(file), "train": "norms_and_last_block"}
    )
    uninterrupted = contract.run(experiment, MemorySession())
    published = torch.load(file, weights_only=True)
    early, last = "layer3.0.conv2.weight", "layer4.2.conv2.weight"
    assert torch.equal(uninterrupted.state[f"0.network.backbone.body.{early}"], published[early])
    assert not torch.equal(uninterrupted.state[f"0.network.backbone.body.{last}"], published[last])

    session = contract.InterruptedSession(1)
    with pytest.raises(contract.Interrupted):
        contract.run(experiment, session)
    file.unlink()
    resumed = contract.run(experiment, MemorySession(session.saved))
    contract.assert_same_state(uninterrupted.state, resumed.state, "without the file")
    checkpoint = MemorySession(session.saved).resume()
    assert checkpoint is not None
    _, stages = restore(checkpoint, contract.CPU)
    assert torch.equal(stages[0].network.backbone.body.conv1.weight, published["conv1.weight"])


@pytest.mark.slow
def test_transformer_trains_with_logit_adjustment_and_a_post_hoc_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTRAY_DATA", str(tmp_path))  # images above 64 pixels are only read from converted files
    experiment = contract.small_experiment(
        DATA
        | {"dataset.image_size": 224, "dataset.validation_per_class": 1, "dataset.largest_class": 4}
        | {"methods": ["logit_adjustment", "tau_norm"], "backbone": "vit_b_16", "logit_adjustment.epochs": 2}
    )
    session = MemorySession()
    experiment.train(session, contract.CPU)
    losses = [report["loss/total"] for report in session.reports if "loss/total" in report]
    assert len(session.reports) == 3
    assert all(math.isfinite(loss) for loss in losses)
    saved = session.resume()
    assert saved is not None
    fresh = experiment.stages(LongTail(tuple(saved.context["counts"])))[0].state_dict()
    for part in ("class_token", "conv_proj.weight", "encoder.layers.encoder_layer_0.mlp.0.weight"):
        name = f"network.backbone.body.{part}"
        assert not torch.equal(saved.stages[f"0.{name}"], fresh[name]), f"{part} did not change"
    assert "chosen/τ" in session.reports[2]


def test_run_that_continues_another_resumes_without_it(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    train(contract.small_experiment(TINY | {"methods": ["cross_entropy"]}), first)
    follow = DATA | {"methods": ["crt", "tau_norm"], "start": str(first), "crt.epochs": 2}
    experiment = contract.small_experiment(follow)
    session = contract.InterruptedSession(1)
    with pytest.raises(contract.Interrupted):
        contract.run(experiment, session)
    uninterrupted = contract.run(experiment, MemorySession())
    train(experiment, second)
    for file in first.iterdir():
        file.unlink()
    resumed = contract.run(experiment, MemorySession(session.saved))
    contract.assert_same_state(uninterrupted.state, resumed.state, "without the run it continues")
    metrics = TrainedModel.open(second, contract.CPU).on_test().metrics()
    assert 0.0 <= metrics["test/acc_all"] <= 1.0


def test_seeds_of_a_second_stage_differ(tmp_path: Path) -> None:
    train(contract.small_experiment(TINY | {"methods": ["cross_entropy"]}), tmp_path)
    tail = LongTail((8, 7, 6, 5, 4, 4, 3, 3, 2, 2))
    weights = []
    for seed in (0, 1):
        experiment = contract.small_experiment(DATA | {"methods": ["crt"], "start": str(tmp_path), "seed": seed})
        classifier = experiment.stages(tail)[0].network.classifier
        assert isinstance(classifier, nn.Linear)
        weights.append(classifier.weight)
    assert not torch.equal(*weights)


def train(experiment: Experiment, folder: Path) -> None:
    """Train on the small digits and keep the last checkpoint in a folder."""
    session = MemorySession()
    contract.run(experiment, session)
    checkpoint = session.resume()
    assert isinstance(checkpoint, Checkpoint)
    checkpoint.save(folder)
