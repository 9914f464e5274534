"""A batch of one image: a method trains on it, or is refused with the required size."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from ltray.engine.loop import train
from ltray.engine.memory_session import MemorySession
from ltray.engine.session import Run
from ltray.engine.single_values import refusing_single_values
from ltray.errors import UsageError
from ltray.methods import METHODS
from ltray.network import Network
from ltray.parts.flows import FlowBatchNorm
from ltray.recipe import Recipe
from ltray.stage import BuildContext, Stage
from ltray.testing.overfit import SIZE, TinyBackbone, textures

SEVERAL_OR_NO_STEPS = ("ride", "ride_distilled", "nearest_class_mean")
TRAINED = [name for name, method in METHODS.items() if method.builds and name not in SEVERAL_OR_NO_STEPS]
VECTORS = ("paco", "moco", "dscl")  # a BatchNorm gets the vectors of only one view
EXTRA = {"rescom": {"queue_size": 4, "hard_negatives": 4}, "dscl": {"linear_batch_size": 1, "linear_epochs": 1}}


@pytest.mark.parametrize("name", TRAINED)
def test_batch_of_one_image_trains_or_is_refused_with_the_reason(name):
    data, reports = textures(), MemorySession()
    given = {"epochs": 1, "warmup_epochs": 0, "batch_size": 1, "learning_rate": 1e-4} | EXTRA.get(name, {})
    knobs = METHODS[name].knobs.resolve("digits_lt", given)
    torch.manual_seed(0)
    context = BuildContext(
        data.tail, lambda kind: Network(TinyBackbone(), nn.Linear(16, data.tail.classes)), None, SIZE
    )
    stages = METHODS[name].stages(knobs, context)
    run = Run(seed=0, device=torch.device("cpu"), selection="test")
    if name in VECTORS:
        with pytest.raises(UsageError, match="needs 2 images per step.*got a batch size of 1: set it to 2 or more"):
            train(stages, data, reports, run)
    else:
        train(stages, data, reports, run)
        assert reports.reports


class OneLayer(Stage):
    def __init__(self, layer, batch_size):
        super().__init__(Recipe(batch_size=batch_size))
        self.layer = layer

    def forward(self, batch):
        """Apply the layer to the batch."""
        return self.layer(batch)


@pytest.mark.parametrize(
    ("layer", "shape"), [(nn.BatchNorm1d, (3,)), (nn.BatchNorm2d, (3, 1, 1)), (FlowBatchNorm, (3,))]
)
def test_batch_norms_refuse_a_single_value_only_in_training(layer, shape):
    stage = OneLayer(layer(3), 1)
    with refusing_single_values(stage), pytest.raises(UsageError, match="batch size of 1"):
        stage(torch.ones(1, *shape))
    stage.recipe = replace(stage.recipe, batch_size=8)
    with refusing_single_values(stage), pytest.raises(UsageError, match="fewer than 2 images: add training images"):
        stage(torch.ones(1, *shape))
    with refusing_single_values(stage):
        stage(torch.ones(2, *shape))
        stage.eval()(torch.ones(1, *shape))
    assert not stage.layer._forward_pre_hooks
