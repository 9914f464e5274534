"""Tau-norm, post-hoc logit adjustment and temperature: chosen exactly on validation features."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ltray.errors import UsageError
from ltray.methods import post_hoc_adjustment, tau_norm, temperature
from ltray.methods.post_hoc_adjustment import PostHocAdjustmentKnobs
from ltray.methods.tau_norm import TauNormKnobs, normalised, tau_ranges
from ltray.methods.temperature import TemperatureKnobs, best_temperature
from ltray.network import Network
from ltray.parts.adjusted_classifiers import ScaledClassifier
from ltray.stage import BuildContext

CASES = ["k5", "k100"]


class Validation:
    """Training data that have only validation features."""

    def __init__(self, features, labels):
        self.features_and_labels = features, labels

    def selection_features(self, network):
        """Return the features for any network."""
        return self.features_and_labels


def _linear_setting(z, case, new_context):
    context = new_context(z[f"{case}/counts"].tolist(), width=z[f"{case}/x"].shape[1], follow="linear")
    context.start.double()
    context.start.classifier.weight.data = torch.from_numpy(z[f"{case}/W"])
    context.start.classifier.bias.data = torch.from_numpy(z[f"{case}/b"])
    return context, torch.from_numpy(z[f"{case}/x"]), torch.from_numpy(z[f"{case}/y"])


@pytest.mark.parametrize("case", CASES)
def test_fixed_tau_equals_the_authors_code(golden, new_context, case):
    z = golden("two_stage")
    context, features, labels = _linear_setting(z, case, new_context)
    for tau, predictions in zip(z[f"{case}/taus"], z[f"{case}/taunorm_pred"], strict=True):
        (stage,) = tau_norm.METHOD.stages(TauNormKnobs(tau_from=tau, tau_to=tau), context)
        stage.double().prepare(Validation(features, labels))
        assert stage.tau.item() == tau
        np.testing.assert_array_equal(stage.logits(features).argmax(dim=1), predictions)


@pytest.mark.parametrize("case", CASES)
def test_normalised_weights_equal_the_authors_code(golden, new_context, case):
    z = golden("two_stage")
    context, features, labels = _linear_setting(z, case, new_context)
    np.testing.assert_allclose(normalised(context.start.classifier.weight.detach(), 0.7), z[f"{case}/taunorm_W_0.7"])
    (stage,) = tau_norm.METHOD.stages(TauNormKnobs(tau_from=0.7, tau_to=0.7), context)
    stage.double().prepare(Validation(features, labels))
    np.testing.assert_allclose(stage.logits(features).detach(), z[f"{case}/taunorm_logits_0.7"], atol=1e-8)


@pytest.mark.parametrize("case", CASES)
def test_tau_ranges_are_correct_on_the_complete_grid(golden, case):
    z = golden("two_stage")
    weight = torch.from_numpy(z[f"{case}/W"])
    labels = torch.from_numpy(z[f"{case}/y"])
    low, high = tau_ranges(torch.from_numpy(z[f"{case}/x"]) @ weight.T, weight.norm(dim=1), labels)
    for tau, predictions in zip(z[f"{case}/taus"], z[f"{case}/taunorm_pred"], strict=True):
        assert torch.equal((low < tau) & (tau < high), torch.from_numpy(predictions) == labels)


def test_tau_ranges_are_correct_for_negative_scores():
    random = torch.Generator().manual_seed(0)
    projections = -torch.rand(200, 4, generator=random, dtype=torch.float64) - 0.01
    norms = torch.tensor([0.2, 1.0, 2.0, 5.0], dtype=torch.float64)
    labels = torch.randint(4, (200,), generator=random)
    low, high = tau_ranges(projections, norms, labels)
    for tau in (0.0, 0.33, 0.9, 1.7):
        assert torch.equal((low < tau) & (tau < high), (projections / norms**tau).argmax(dim=1) == labels)


def test_exact_tau_is_at_least_as_good_as_the_papers_grid(new_context):
    torch.manual_seed(3)
    context = new_context([90, 30, 9, 3], width=6, follow="linear")
    features, labels = torch.randn(300, 6), torch.randint(4, (300,))

    def hits(knobs):
        (stage,) = tau_norm.METHOD.stages(knobs, context)
        stage.prepare(Validation(features, labels))
        return int((stage.logits(features).argmax(dim=1) == labels).sum())

    assert hits(TauNormKnobs()) >= hits(TauNormKnobs(tau_step=0.1)) >= hits(TauNormKnobs(tau_to=0.0))


def test_tau_norm_refuses_a_classifier_without_weight_vectors(new_context):
    context = new_context([9, 3], follow="linear")
    scaled = Network(context.start.backbone, ScaledClassifier(context.start.classifier, 2))
    with pytest.raises(UsageError, match="ScaledClassifier"):
        tau_norm.METHOD.stages(TauNormKnobs(), BuildContext(context.tail, context.new_network, scaled))


@pytest.mark.parametrize("case", ["k3", "k10", "k100"])
@pytest.mark.parametrize("tau", [0.5, 1.0, 1.5])
def test_post_hoc_adjustment_equals_the_golden_predictions(golden, new_context, case, tau):
    z = golden("classic_losses")
    scores, labels = torch.from_numpy(z[f"{case}/z"]), torch.from_numpy(z[f"{case}/y"])
    context = new_context(z[f"{case}/counts"].tolist(), width=scores.shape[1], follow="linear")
    context.start.classifier = nn.Identity()
    (stage,) = post_hoc_adjustment.METHOD.stages(PostHocAdjustmentKnobs(tau_from=tau, tau_to=tau), context)
    stage.double().prepare(Validation(scores, labels))
    np.testing.assert_array_equal(stage.logits(scores).argmax(dim=1), z[f"{case}/la_posthoc_tau{tau}"])


def test_exact_adjustment_is_at_least_as_good_as_every_grid_point(new_context):
    torch.manual_seed(1)
    context = new_context([500, 60, 8], width=6, follow="linear")
    features, labels = torch.randn(200, 6), torch.randint(3, (200,))
    (stage,) = post_hoc_adjustment.METHOD.stages(PostHocAdjustmentKnobs(), context)
    stage.prepare(Validation(features, labels))
    scores = context.start.classifier(features).double()
    grid = [
        int(((scores - tau * context.tail.prior().log()).argmax(dim=1) == labels).sum())
        for tau in np.linspace(0.0, 3.0, 301)
    ]
    assert int((stage.logits(features).argmax(dim=1) == labels).sum()) >= max(grid)


def test_temperature_minimises_the_loss():
    torch.manual_seed(0)
    scores = 12.0 * torch.randn(400, 5)
    labels = torch.distributions.Categorical(logits=scores / 4.0).sample()
    found = best_temperature(scores, labels, lowest=0.01, highest=100.0)
    at = [F.cross_entropy(scores.double() / t, labels).item() for t in (found, found * 1.001, found / 1.001)]
    assert at[0] < min(at[1:])
    assert 3.0 < found < 5.0


def test_temperature_is_limited_to_its_range():
    scores, labels = torch.eye(3), torch.arange(3)
    assert best_temperature(scores, labels, lowest=0.5, highest=2.0) == pytest.approx(0.5)


def test_temperature_keeps_the_predictions(new_context):
    torch.manual_seed(0)
    context = new_context([9, 5, 3], width=6, follow="linear")
    features, labels = torch.randn(50, 6), torch.randint(3, (50,))
    (stage,) = temperature.METHOD.stages(TemperatureKnobs(), context)
    stage.prepare(Validation(features, labels))
    assert stage.network.classifier.temperature != 1.0
    assert torch.equal(stage.logits(features).argmax(dim=1), context.start(features).argmax(dim=1))


@pytest.mark.parametrize("module", [tau_norm, post_hoc_adjustment, temperature])
def test_nothing_is_trained(new_context, module):
    (stage,) = module.METHOD.stages(module.METHOD.knobs(), new_context([9, 3], follow="linear"))
    assert stage.recipe.epochs == 0
    assert stage.trained() == []
    with pytest.raises(UsageError, match="epochs"):
        module.METHOD.knobs(epochs=1)
