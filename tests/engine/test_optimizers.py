"""Optimizers: every name builds one, an unknown name is refused, and a resumed one keeps the run's settings."""

import pytest
import torch
from torch import nn

from ltray.engine.optimizers import OPTIMIZERS, Optimization, new_optimizer
from ltray.engine.train_step import set_training_mode, train_step
from ltray.errors import UsageError
from ltray.recipe import Recipe
from ltray.stage import Batch, Stage
from ltray.testing import contract


class OneWeight(Stage):
    """Loss 3w: the gradient is 3."""

    def __init__(self, recipe):
        super().__init__(recipe)
        self.weight = nn.Parameter(torch.tensor([1.0]))

    def forward(self, batch):
        """Return one loss term."""
        return {"only": 3.0 * self.weight.sum()}


def trained(stage, optimizer, rate=0.1):
    train_step(stage, Batch({}, torch.zeros(1), torch.zeros(1)), optimizer, rate=rate, precision="float32")
    return stage.weight.item()


def stage_of(**knobs):
    stage = OneWeight(Recipe(**{"weight_decay": 0.0, "momentum": 0.5} | knobs))
    set_training_mode(stage)
    return stage


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_moves_the_weights_against_the_gradient(name):
    stage = stage_of()
    stage.optimizer = name
    assert trained(stage, new_optimizer(stage)) < 1.0


@pytest.mark.parametrize(
    ("name", "hint"),
    [("sdg", "Did you mean `sgd`"), ("lars", "Known: `adam`, `adamw`, `lamb`, `sgd`"), ("", "Known: .*`sgd`")],
)
def test_an_unknown_optimizer_is_refused(name, hint):
    stage = stage_of()
    stage.optimizer = name
    with pytest.raises(UsageError, match=f"'{name}' is not an optimizer .*OneWeight.*{hint}"):
        new_optimizer(stage)


def test_an_added_optimizer_is_found_by_its_name(monkeypatch):
    monkeypatch.setitem(OPTIMIZERS, "adam", lambda groups, recipe: torch.optim.Adam(groups, lr=recipe.learning_rate))
    stage = stage_of()
    stage.optimizer = "adam"
    assert trained(stage, new_optimizer(stage), rate=0.25) == pytest.approx(0.75)  # Adam's first step is the rate


def test_loaded_optimizer_has_the_saved_state_and_the_new_settings():
    first, second = stage_of(), stage_of(momentum=0.9)
    old, new = Optimization.of(first), Optimization.of(second)
    trained(first, old.optimizer)
    second.load_state_dict(first.state_dict())
    saved, average = old.state(first)
    assert average == {}
    new.load(type("Saved", (), {"optimizer": saved, "average": average}), second)
    # v = 3 after the first step; then 0.9 * 3 + 3 = 5.7 with the new momentum.
    assert trained(second, new.optimizer) == pytest.approx(1.0 - 0.3 - 0.57)


def test_a_stage_without_epochs_has_neither_optimizer_nor_average():
    idle = Optimization.of(stage_of(epochs=0, warmup_epochs=0, average_decay=0.9))
    assert (idle.optimizer, idle.average, idle.state(nn.Module())) == (None, None, ({}, {}))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_of_the_recipe_resumes_exactly(name):
    knobs = {"optimizer": name, "decay_norms": False, "clip_norm": 0.5, "learning_rate": 0.01, "epochs": 2}
    settings = {f"cross_entropy.{key}": value for key, value in knobs.items()} | {"cross_entropy.batch_size": 32}
    experiment = contract.small_experiment({"methods": ["cross_entropy"], "cross_entropy.warmup_epochs": 0} | settings)
    stage, _ = contract.first_batch(experiment, 0)
    built = new_optimizer(stage)
    assert type(built).__name__.lower() == name
    decays = {(p.dim() > 1, group["weight_decay"]) for group in built.param_groups for p in group["params"]}
    assert decays == {(True, stage.recipe.weight_decay), (False, 0.0)}
    assert set(Recipe.specs()["optimizer"].choices) == set(OPTIMIZERS)
    assert contract.check_resume(experiment) == 1


def test_gradients_above_the_limit_are_scaled_to_it():
    stage = stage_of()
    optimizer = torch.optim.SGD(stage.parameters(), lr=0.1)
    nothing = Batch({}, torch.zeros(1), torch.zeros(1))
    train_step(stage, nothing, optimizer, rate=0.1, precision="float32", clip=2.0)
    assert stage.weight.item() == pytest.approx(0.8, abs=1e-6)  # the gradient is 3
    train_step(stage, nothing, optimizer, rate=0.1, precision="float32", clip=4.0)
    assert stage.weight.item() == pytest.approx(0.5, abs=1e-6)


def test_settings_of_another_optimizer_have_no_effect():
    with pytest.raises(UsageError, match="`momentum` has no effect.*optimizer"):
        Recipe.resolve("default", {"optimizer": "adamw", "momentum": 0.5})
    with pytest.raises(UsageError, match="`decay_norms` has no effect"):
        Recipe.resolve("default", {"weight_decay": 0.0, "decay_norms": False})


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_weights_on_a_cpu_are_not_updated_in_one_kernel(name, monkeypatch):
    """The numbers of earlier versions stay the same; on a GPU, one kernel updates all weights."""
    stage = stage_of(optimizer=name) if name != "sgd" else stage_of()
    assert not any(group["fused"] for group in new_optimizer(stage).param_groups)
    monkeypatch.setattr("ltray.engine.optimizers.FUSED_ON", ("cpu",))
    fused = Optimization.of(stage)
    assert all(group["fused"] for group in fused.optimizer.param_groups)
    trained(stage, fused.optimizer)
    saved, average = fused.state(stage)
    saved["param_groups"][0]["fused"] = None  # of a version without it
    fused.load(type("Saved", (), {"optimizer": saved, "average": average}), stage)
    assert fused.optimizer.param_groups[0]["fused"] is True
    assert trained(stage, fused.optimizer) < 1.0
