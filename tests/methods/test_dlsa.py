"""DLSA's stages: a golden training of a Flow Filter, the choice of an epoch, the whole method."""

import numpy as np
import pytest
import torch

from ltray.engine.optimizers import new_optimizer
from ltray.engine.train_step import set_training_mode, train_step
from ltray.errors import UsageError
from ltray.methods.dlsa.division import OPEN
from ltray.methods.dlsa.flow_filter import FlowFilter
from ltray.methods.dlsa.knobs import DLSAKnobs
from ltray.methods.dlsa.method import METHOD, PartClassifier
from ltray.parts.flows import MADE
from ltray.stage import Batch

COUNTS = (60, 24, 9, 5)


class Features:
    """Training data without augmentation whose images are their own features."""

    def __init__(self, features, labels):
        self.known, self.labels = features, labels

    def features(self, network):
        """Return the features for any network."""
        return self.known


def _data(width, seed=0):
    random = torch.Generator().manual_seed(seed)
    labels = torch.repeat_interleave(torch.arange(len(COUNTS)), torch.tensor(COUNTS))
    centres = 2.0 * torch.randn(len(COUNTS), width, generator=random)
    return Features(centres[labels] + 0.5 * torch.randn(len(labels), width, generator=random), labels)


def _official_names(flow):
    """Pair our parameters and buffers with the names of the official state."""
    for index, transform in enumerate(flow.transforms):
        if isinstance(transform, MADE):
            names = ["net_input", *[f"net.{2 * i + 1}" for i in range(len(transform.layers) - 1)]]
            for layer, name in zip(transform.layers, names, strict=True):
                yield f"nf.net.{index}.{name}.weight", layer.weight
                yield f"nf.net.{index}.{name}.bias", layer.bias
        else:
            for name in ("log_gamma", "beta", "running_mean", "running_var"):
                yield f"nf.net.{index}.{name}", getattr(transform, name)


def test_five_training_steps_equal_the_authors_code(golden, new_context):
    z = golden("dlsa_train")
    width, clusters, rows = int(z["D"]), int(z["K"]), z["pos"].shape[1]
    # One class per image of the batch, so that the golden file's weights are class weights.
    knobs = DLSAKnobs(clusters=clusters, likelihood_weight=2.0, learning_rate=float(z["lr"]))
    stage = METHOD.stages(knobs, new_context([2] * rows, width=width, follow="linear"))[0]
    assert isinstance(stage, FlowFilter)
    set_training_mode(stage.double())
    mixture = stage.level.filter
    mixture.means.copy_(torch.from_numpy(z["sd.means"]).squeeze(0))
    with torch.no_grad():
        for name, value in _official_names(mixture.flow):
            value.copy_(torch.from_numpy(z[f"sd.{name}"]))
    optimizer = new_optimizer(stage)
    for step in range(len(z["pos"])):
        stage.weights.copy_(torch.from_numpy(z["weight"][step]))
        views = {name: torch.from_numpy(z[key][step]) for name, key in (("positive", "pos"), ("negative", "neg"))}
        batch = Batch(views, torch.arange(rows), torch.arange(rows))
        terms = train_step(stage, batch, optimizer, rate=knobs.learning_rate, precision=knobs.precision)
        values = [terms[name].item() for name in ("likelihood", "balance", "purity")]
        offset = 1e-8 + 2.0 * 5.6e-8 * width  # the official π has six decimals
        np.testing.assert_allclose([*values, sum(values)], z["losses"][step], atol=offset)
        if step == 0:
            for name, value in _official_names(mixture.flow):
                if isinstance(value, torch.nn.Parameter):
                    np.testing.assert_allclose(value.grad, z[f"grad1.{name}"], atol=1e-8)
    for name, value in _official_names(mixture.flow):
        np.testing.assert_allclose(value.detach(), z[f"after.{name}"], atol=1e-8)


@pytest.mark.parametrize("depth", [1, 3])
def test_stages_are_two_per_division_and_one_for_the_rest(new_context, depth):
    stages = METHOD.stages(DLSAKnobs(depth=depth, clusters=4), new_context(COUNTS, width=5, follow="linear"))
    assert [type(stage) for stage in stages] == [FlowFilter, PartClassifier] * depth + [PartClassifier]
    assert [getattr(stage, "part", None) for stage in stages[1::2]] == list(range(depth))
    assert stages[-1].part == OPEN
    assert all(stage.source == "features" for stage in stages)
    assert stages[0].recipe.epochs == 50 and stages[1].recipe.epochs == 150


def test_every_image_is_in_one_part(new_context):
    torch.manual_seed(0)
    knobs, data = DLSAKnobs(depth=2, clusters=4), _data(5)
    stages = METHOD.stages(knobs, new_context(COUNTS, width=5, follow="linear"))
    seen = []
    for stage in stages:
        stage.eval()
        stage.prepare(data)
        selected = stage.select(data)
        if isinstance(stage, PartClassifier):
            seen.append(selected)
    assert torch.cat(seen).sort().values.tolist() == list(range(sum(COUNTS)))
    assert [len(part) for part in seen[:2]] == [30, 21]  # 30 % of 98, of the 68 left
    again = [stage.select(data) for stage in stages[1::2]]
    assert all(torch.equal(one, other) for one, other in zip(again, seen, strict=False))


def test_filter_trains_on_the_remaining_images_with_their_weights(new_context):
    torch.manual_seed(0)
    knobs, data = DLSAKnobs(depth=2, clusters=4, class_power=1.0), _data(5)
    first, aided, second, *_ = METHOD.stages(knobs, new_context(COUNTS, width=5, follow="linear"))
    first.prepare(data)
    expected = 60.0 / torch.tensor(COUNTS, dtype=torch.float64)
    assert torch.allclose(first.weights, expected / expected.sum())
    aided.eval()
    aided.prepare(data)
    second.prepare(data)
    open_counts = torch.bincount(data.labels[second.select(data)], minlength=4).double()
    expected = torch.where(open_counts > 0, open_counts.max() / open_counts.clamp_min(1.0), 0.0)
    assert torch.allclose(second.weights, expected / expected.sum())


def test_balanced_softmax_uses_the_counts_of_the_part_or_of_all_images(new_context):
    torch.manual_seed(0)
    data, context = _data(5), new_context(COUNTS, width=5, follow="linear")
    for rest_counts in ("all", "part"):
        stages = METHOD.stages(DLSAKnobs(clusters=4, rest_counts=rest_counts), context)
        for stage in stages:
            stage.eval()
            stage.prepare(data)
        _, aided, rest = stages
        counts = torch.bincount(data.labels[aided.select(data)], minlength=4)
        assert torch.allclose(aided.adjustment, (counts + 1e-6).log().double())
        left = torch.tensor(COUNTS) if rest_counts == "all" else torch.tensor(COUNTS) - counts
        assert torch.allclose(rest.adjustment, (left + 1e-6).log().double())


def test_good_clusters_are_pure_and_large(new_context):
    knobs = DLSAKnobs(clusters=4, min_purity=0.7, min_size=10, max_size=100)
    stage = METHOD.stages(knobs, new_context([9, 9, 9], width=5, follow="linear"))[0]
    counts = torch.tensor([[20, 0, 1], [7, 3, 0], [9, 0, 0], [40, 10, 10]])
    assert stage.good_clusters(counts) == 1
    assert stage.good_clusters(counts + torch.tensor([[90, 0, 0], *[[0, 0, 0]] * 3])) == -1


def test_best_epoch_is_restored(new_context, monkeypatch):
    torch.manual_seed(0)
    data = _data(5)
    stage = METHOD.stages(DLSAKnobs(epochs=4, clusters=4), new_context(COUNTS, width=5, follow="linear"))[0]
    found = iter([1, 3, 3, 2])
    monkeypatch.setattr(stage, "good_clusters", lambda counts: next(found))
    states = []
    for epoch in range(4):
        stage.begin_epoch(epoch)
        for parameter in stage.level.filter.parameters():
            parameter.data.add_(0.01)
        states.append({name: value.clone() for name, value in stage.level.filter.state_dict().items()})
        stage.end_epoch(data)
    kept = stage.level.filter.state_dict()
    assert all(torch.equal(kept[name], value) for name, value in states[1].items())
    assert stage.most_clusters == 3


def test_last_epoch_is_kept_if_none_qualifies(new_context):
    torch.manual_seed(0)
    data = _data(5)
    knobs = DLSAKnobs(epochs=2, clusters=4, max_size=1)
    stage = METHOD.stages(knobs, new_context(COUNTS, width=5, follow="linear"))[0]
    for epoch in range(2):
        stage.begin_epoch(epoch)
        for parameter in stage.level.filter.parameters():
            parameter.data.add_(0.01)
        before = {name: value.clone() for name, value in stage.level.filter.state_dict().items()}
        stage.end_epoch(data)
    kept = stage.level.filter.state_dict()
    assert all(torch.equal(kept[name], value) for name, value in before.items())


@pytest.mark.parametrize("left_out", ["likelihood", "balance", "purity"])
def test_loss_with_weight_zero_is_omitted(new_context, left_out):
    knobs = DLSAKnobs(clusters=4, **{f"{left_out}_weight": 0.0})
    stage = METHOD.stages(knobs, new_context(COUNTS, width=5, follow="linear"))[0].train()
    batch = Batch(
        {"positive": torch.randn(6, 5), "negative": torch.randn(6, 5)}, torch.zeros(6).long(), torch.arange(6)
    )
    assert stage(batch).keys() == {"likelihood", "balance", "purity"} - {left_out}


def test_filter_without_losses_is_refused(new_context):
    knobs = DLSAKnobs(likelihood_weight=0.0, balance_weight=0.0, purity_weight=0.0)
    with pytest.raises(UsageError, match="needs a loss"):
        METHOD.stages(knobs, new_context(COUNTS, width=5, follow="linear"))


@pytest.mark.parametrize("features", ["unit", "raw"])
def test_warm_start_uses_the_classifier_of_the_network(new_context, features):
    context, data = new_context(COUNTS, width=5, follow="linear"), _data(5)
    stages = METHOD.stages(DLSAKnobs(clusters=4, classifier="warm_linear", features=features), context)
    for stage in stages:
        stage.eval()
        stage.prepare(data)
    own = context.start(data.known)
    for stage in stages[1:]:
        assert torch.allclose(stage.classifier.first(stage.feature_network()(data.known)), own, atol=1e-5)


def test_warm_start_needs_a_linear_classifier(new_context):
    with pytest.raises(UsageError, match="CosineClassifier"):
        METHOD.stages(DLSAKnobs(classifier="warm_linear"), new_context(COUNTS, width=5, follow="cosine"))


def test_unit_features_have_a_root_mean_square_of_one(new_context):
    data = _data(5)
    data.known = 300.0 * data.known
    stage = METHOD.stages(DLSAKnobs(clusters=4), new_context(COUNTS, width=5, follow="linear"))[0]
    stage.prepare(data)
    assert stage.feature_network()(data.known).square().mean().item() == pytest.approx(1.0, abs=1e-5)
