"""LDAM and its deferred weights in the stage compared with the authors' code."""

import numpy as np
import pytest
import torch
from torch import nn

from ltray.methods.ldam import METHOD, LDAMKnobs
from ltray.recipe import Recipe
from ltray.stage import Batch

CASES = ["k3", "k10", "k100"]


class Cosines(nn.Module):
    """Returns the scaled cosines of the golden file for any image."""

    def __init__(self, cosines, scale):
        super().__init__()
        self.cosines = nn.Parameter(torch.from_numpy(cosines))
        self.scale = scale

    def forward(self, images):
        """Return the cosines; the images are ignored."""
        return self.scale * self.cosines


def _stage(z, case, new_context, **knobs):
    counts = z[f"{case}/counts"].tolist()
    (stage,) = METHOD.stages(LDAMKnobs(**knobs), new_context(counts))
    stage.network = Cosines(z[f"{case}/zcos"], stage.knobs.scale)
    labels = torch.from_numpy(z[f"{case}/y"])
    return stage, Batch({"image": torch.zeros(len(labels), 3, 8, 8)}, labels, torch.arange(len(labels)))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("margin", "scale"), [(0.5, 30), (0.3, 20)])
def test_loss_before_reweighting_equals_the_authors_code(golden, new_context, case, margin, scale):
    z = golden("classic_losses")
    stage, batch = _stage(z, case, new_context, margin=margin, scale=scale)
    stage.begin_epoch(159)
    loss = stage(batch)["classification"]
    loss.backward()
    name = f"{case}/ldam_m{margin}_s{scale}"
    assert loss.item() == pytest.approx(float(z[name]), abs=1e-8)
    np.testing.assert_allclose(stage.network.cosines.grad, z[f"{name}_grad"], atol=1e-8)


@pytest.mark.parametrize("case", CASES)
def test_loss_from_the_reweighting_epoch_equals_the_authors_code(golden, new_context, case):
    z = golden("classic_losses")
    stage, batch = _stage(z, case, new_context)
    stage.begin_epoch(160)
    loss = stage(batch)["classification"]
    loss.backward()
    assert loss.item() == pytest.approx(float(z[f"{case}/ldam_drw"]), abs=1e-8)
    np.testing.assert_allclose(stage.network.cosines.grad, z[f"{case}/ldam_drw_grad"], atol=1e-8)


def test_reweighting_epoch_scales_with_the_run():
    knobs = LDAMKnobs.resolve("cifar100_lt", {"epochs": 10})
    assert (knobs.reweight_epoch, knobs.milestones) == (8, (8, 9))
    assert isinstance(knobs, Recipe)


def test_evaluation_scores_have_no_margin(new_context):
    (stage,) = METHOD.stages(LDAMKnobs(scale=12.0), new_context([30, 2]))
    images = torch.randn(3, 3, 8, 8)
    stage.eval()
    assert torch.equal(stage.logits(images), stage.network(images))
    assert stage.logits(images).abs().max() <= 12.0 + 1e-5


@pytest.mark.parametrize("case", CASES)
def test_classifier_equals_the_normed_linear_of_the_authors_code(golden, new_context, case):
    z = golden("classic_losses")
    (stage,) = METHOD.stages(LDAMKnobs(scale=1.0), new_context(z[f"{case}/counts"].tolist(), width=7))
    stage.network.classifier.weight = nn.Parameter(torch.from_numpy(z[f"{case}/Wcos"]).T)
    scores = stage.logits(torch.from_numpy(z[f"{case}/feat"]))
    np.testing.assert_allclose(scores.detach(), z[f"{case}/normed_linear"], atol=1e-8)
