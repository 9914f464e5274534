"""One training step compared with explicit SGD."""

import dataclasses

import pytest
import torch
from torch import nn

from ltray.engine.loop import train
from ltray.engine.memory_session import MemorySession
from ltray.engine.optimizers import new_optimizer
from ltray.engine.session import Run
from ltray.engine.train_step import set_training_mode, train_step
from ltray.errors import UsageError
from ltray.lr_schedule import learning_rate
from ltray.methods.cross_entropy import OneView, OneViewKnobs
from ltray.network import Network
from ltray.recipe import PRECISIONS, Recipe
from ltray.stage import Batch, BuildContext, Stage
from ltray.testing.overfit import TinyBackbone, textures

PULL = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)


class TwoGroups(Stage):
    """Loss Σ pull·w over two parameters with known gradients; the second has another learning rate."""

    def __init__(self, recipe: Recipe, scale: float) -> None:
        super().__init__(recipe)
        self.first = nn.Parameter(torch.tensor([3.0, 1.0, -1.0], dtype=torch.float64))
        self.second = nn.Parameter(torch.tensor([-2.0, 4.0, 0.3], dtype=torch.float64))
        self.scale = scale

    def parameter_groups(self):
        """Return one group per parameter."""
        return [{"params": [self.first]}, {"params": [self.second], "lr_scale": self.scale}]

    def forward(self, batch):
        """Return two terms, linear in the weights."""
        return {"first": (PULL * self.first).sum(), "second": (PULL * self.second).sum()}


def by_hand(weights, rates, *, decay, momentum, nesterov):
    """SGD as in Sutskever et al. 2013 and torch: v ← μv + g, w ← w − lr·(v, or g + μv with Nesterov)."""
    velocity = torch.zeros_like(weights)
    for rate in rates:
        gradient = PULL + decay * weights
        velocity = momentum * velocity + gradient
        weights = weights - rate * (gradient + momentum * velocity if nesterov else velocity)
    return weights


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("decay", [0.0, 0.05])
def test_step_equals_sgd_with_the_values_of_the_recipe(decay, momentum, nesterov):
    recipe = Recipe(learning_rate=7.0, weight_decay=decay, momentum=momentum)
    recipe = dataclasses.replace(recipe, nesterov=nesterov)
    stage, rates = TwoGroups(recipe, scale=0.2), [0.1, 0.3, 0.05, 0.2]
    first, second = stage.first.detach().clone(), stage.second.detach().clone()
    set_training_mode(stage)
    optimizer = new_optimizer(stage)
    for rate in rates:
        terms = train_step(stage, Batch({}, torch.zeros(1), torch.zeros(1)), optimizer, rate=rate, precision="float32")
        assert terms.keys() == {"first", "second"}
    how = dict(decay=decay, momentum=momentum, nesterov=nesterov)
    torch.testing.assert_close(stage.first.detach(), by_hand(first, rates, **how), rtol=1e-12, atol=0)
    scaled = [0.2 * rate for rate in rates]
    torch.testing.assert_close(stage.second.detach(), by_hand(second, scaled, **how), rtol=1e-12, atol=0)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_forward_pass_supports_every_precision(precision):
    assert Recipe(precision=precision).precision == precision

    class Product(TwoGroups):
        def forward(self, batch):
            return {"first": (self.first.float()[None] @ self.second.float()[:, None]).sum()}

    stage = Product(Recipe(), 1.0)
    set_training_mode(stage)
    batch = Batch({}, torch.zeros(1), torch.zeros(1))
    (term,) = train_step(stage, batch, new_optimizer(stage), rate=0.1, precision=precision).values()
    assert term.dtype is PRECISIONS[precision]


def test_an_unknown_precision_is_refused():
    stage = TwoGroups(Recipe(), 1.0)
    batch = Batch({}, torch.zeros(1), torch.zeros(1))
    with pytest.raises(UsageError, match="'bfloat32' is not a precision. Did you mean `"):
        train_step(stage, batch, new_optimizer(stage), rate=0.1, precision="bfloat32")


def test_a_stage_without_epochs_has_no_optimizer():
    assert new_optimizer(TwoGroups(Recipe(epochs=0, warmup_epochs=0), 1.0)) is None


class CallRecorder(OneView):
    """Records the order of calls and their learning rates."""

    def __init__(self, *args):
        super().__init__(*args)
        self.seen = []

    def begin_epoch(self, epoch):
        """Record the epoch."""
        self.seen.append(("begin", epoch))

    def forward(self, batch):
        """Record the step."""
        self.seen.append("step")
        return super().forward(batch)

    def end_epoch(self, data):
        """Record the end."""
        self.seen.append("end")


def test_begin_epoch_is_called_before_the_steps_and_every_step_has_its_rate(monkeypatch):
    data = textures()
    knobs = OneViewKnobs(epochs=3, batch_size=8, warmup_epochs=1, schedule="cosine_per_step", learning_rate=0.04)
    context = BuildContext(data.tail, lambda kind: Network(TinyBackbone(), nn.Linear(TinyBackbone.width, 3)))
    stage, rates = CallRecorder(knobs, context, torch.zeros(3)), []

    def noted(*given, rate, precision, clip, gradient_norms):
        rates.append((rate, precision))
        assert clip == 0.0
        return train_step(*given, rate=rate, precision=precision, clip=clip, gradient_norms=gradient_norms)

    monkeypatch.setattr("ltray.engine.loop.train_step", noted)
    session = MemorySession()
    train([stage], data, session, Run(seed=0, device=torch.device("cpu"), selection="test"))
    steps = len(rates) // 3
    assert steps > 1
    assert stage.seen == [entry for epoch in range(3) for entry in [("begin", epoch), *["step"] * steps, "end"]]
    expected = [learning_rate(knobs, epoch=e, step=s, steps=steps) for e in range(3) for s in range(steps)]
    assert rates == [(rate, "float32") for rate in expected]
    # Warm-up from 0, the peak at its end, then half a cosine to 0, in steps.
    assert expected[0] == 0.0 and expected[steps] == pytest.approx(0.04) and expected[2 * steps] == pytest.approx(0.02)
    assert [report["train/lr"] for report in session.reports] == expected[steps - 1 :: steps]
