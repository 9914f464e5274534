"""Every pair of a method and `train` runs, or is refused with a reason; exact under resume and two workers."""

from pathlib import Path
from typing import Any

import pytest
import torch

from ltray.engine.memory_session import MemorySession
from ltray.engine.train_step import set_training_mode, trained_parameters
from ltray.errors import UsageError
from ltray.experiment import Experiment, restore
from ltray.long_tail import LongTail
from ltray.methods import METHODS
from ltray.parts.fine_tuning import TRAIN
from ltray.testing import contract
from ltray.testing.check import short_settings
from tests.methods.small_backbones import NETWORKS, saved_in

BUILDERS = sorted(
    name
    for name, method in METHODS.items()
    if method.builds and not method.distils and method.knobs.specs()["epochs"].high != 0
)
HEAD_ONLY = {"linear_probe"}


TAIL = LongTail((40, 30, 24, 20, 16, 12, 10, 8, 6, 5))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The settings of two small networks with weights from a file."""
    return saved_in(tmp_path_factory.mktemp("weights"))


def small(method: str, network: dict[str, Any], train: str) -> Experiment:
    own = {"dscl.zero_start": False} if method == "dscl" else {}
    gentle = {f"{method}.learning_rate": 0.001}  # BatchNorm in evaluation mode has no statistics yet
    return contract.small_experiment(short_settings(METHODS[method]) | network | {"train": train} | own | gentle)


def refusal(method: str, network: str, train: str) -> str:
    """Return the expected message for a pair that cannot work; "" if it works."""
    if train in ("adaptformer", "prompts") and network == "SmallResNet":
        return "here `train` can be all, head, last_block, norms, biases, norms_and_last_block, lora, adapter"
    if method in HEAD_ONLY and train not in ("all", "head"):
        return "trains no part of the backbone"
    if method == "ride":
        return "need a residual network" if train == "all" and network != "SmallResNet" else "set `train` to all"
    return "distillation of patches" if method == "dscl" and network == "small_transformer" else ""


QUICK = {"cross_entropy", "paco", "ride"}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(
    "method", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in BUILDERS]
)
def test_every_pair_is_built_or_refused(method: str, network: str, weights: dict[str, dict[str, Any]]) -> None:
    for train in TRAIN:
        if method == "ride" and network == "SmallResNet" and train == "all":
            continue
        if reason := refusal(method, network, train):
            with pytest.raises(UsageError, match=reason):
                small(method, weights[network], train).stages(TAIL)
            continue
        stage = small(method, weights[network], train).stages(TAIL)[0]
        set_training_mode(stage)
        moving = [name for name, p in stage.network.backbone.named_parameters() if p.requires_grad]
        assert bool(moving) == (train != "head" and method not in HEAD_ONLY)
        trained, every = trained_parameters(stage)
        assert 0 < trained <= every and (trained < every or train == "all" and "moco" not in method)
        if train not in ("all", "norms", "norms_and_last_block", "last_block"):
            norms = [m for m in stage.network.backbone.modules() if isinstance(m, torch.nn.BatchNorm2d)]
            assert not any(norm.training for norm in norms)


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("train", TRAIN)
@pytest.mark.parametrize("method", BUILDERS)
def test_every_pair_runs_or_is_refused(
    method: str, train: str, network: str, weights: dict[str, dict[str, Any]]
) -> None:
    if refusal(method, network, train):
        return
    experiment = small(method, weights[network], train)
    stage, batch = contract.first_batch(experiment, 0)
    contract.check_losses(stage, batch)
    contract.check_gradients(stage, batch)


@pytest.mark.parametrize(
    ("network", "train"),
    [
        ("small_transformer", "prompts"),
        ("small_transformer", "lora"),
        ("SmallResNet", "adapter"),
        ("SmallResNet", "norms"),
    ],
)
def test_fine_tuned_network_resumes_exactly_and_frozen_parts_do_not_change(
    network: str, train: str, weights: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    experiment = small("paco" if train == "norms" else "logit_adjustment", weights[network], train)
    assert contract.check_resume(experiment) >= 1
    session = MemorySession()
    contract.run(experiment, session)
    saved = session.resume()
    assert saved is not None
    assert 0.0 < session.reports[-1]["train/parameters_share"] < 1.0
    again, stages = restore(saved, contract.CPU)
    backbone = stages[0].network.backbone
    start = torch.load(weights[network]["weights"], weights_only=True)
    frozen = 0
    for name, value in backbone.loadable.state_dict().items():
        own = name.replace("parametrizations.", "").replace(".weight.original", ".weight")
        if own in start and value.is_floating_point():
            moved = not torch.equal(value, start[own])
            prefix = "body." if backbone.loadable is not backbone else ""
            tuned = backbone.tuned
            expected = f"{prefix}{name}" in tuned.parameters or name.rpartition(".")[2].startswith("running")
            assert not moved or (expected and (train == "norms" or "running" not in name)), name
            frozen += not moved
    assert frozen > 5
    assert again.settings() == experiment.settings()


@pytest.mark.parametrize(("network", "train"), [("SmallResNet", "lora"), ("small_transformer", "adaptformer")])
def test_two_workers_of_a_fine_tuned_network_equal_one(
    network: str, train: str, weights: dict[str, dict[str, Any]], two_workers
) -> None:
    contract.check_workers(small("cross_entropy", weights[network], train), two_workers)


def test_settings_of_earlier_versions_still_load(weights: dict[str, dict[str, Any]]) -> None:
    now = small("bcl", weights["SmallResNet"], "head").settings()
    old = {key: value for key, value in now.items() if key not in ("train", "bottleneck")} | {"frozen": "backbone"}
    assert Experiment.from_settings(old, complete=True).settings() == now
    with pytest.raises(UsageError, match="`frozen` is now called `train`"):
        Experiment.from_settings(old | {"frozen": "backbones"}, complete=True)
    with pytest.raises(UsageError, match="in addition to `train`"):
        Experiment.from_settings(now | {"frozen": "backbone"}, complete=True)
