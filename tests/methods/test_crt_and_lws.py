"""cRT and LWS: trained parameters, features, order of images."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ltray.data.sampling import Sampling, epoch_order
from ltray.errors import UsageError
from ltray.methods import crt, lws
from ltray.methods.lws import LWSKnobs
from ltray.stage import Batch
from ltray.stages.second_stage import SecondStageKnobs


@pytest.mark.parametrize("case", ["k5", "k100"])
def test_lws_equals_the_authors_code(golden, new_context, case):
    z = golden("two_stage")
    context = new_context(z[f"{case}/counts"].tolist(), width=z[f"{case}/x"].shape[1], follow="linear")
    (stage,) = lws.METHOD.stages(LWSKnobs(features="cached"), context)
    stage.double()
    linear, scale = context.start.classifier, stage.scale
    for parameter, name in ((linear.weight, "W"), (linear.bias, "b"), (scale.weight, "scales")):
        parameter.data = torch.from_numpy(z[f"{case}/{name}"])
    features, labels = torch.from_numpy(z[f"{case}/x"]), torch.from_numpy(z[f"{case}/y"])
    np.testing.assert_allclose(stage.logits(features).detach(), z[f"{case}/lws_logits"], atol=1e-8)
    loss = stage(Batch({"features": features}, labels, torch.arange(len(labels))))["classification"]
    loss.backward()
    assert loss.item() == pytest.approx(float(z[f"{case}/lws_ce"]), abs=1e-8)
    np.testing.assert_allclose(scale.weight.grad, z[f"{case}/lws_grad_scales"], atol=1e-8)


def test_lws_starts_as_the_previous_network(new_context):
    context = new_context([9, 3], follow="linear")
    (stage,) = lws.METHOD.stages(LWSKnobs(), context)
    images = torch.randn(4, 3, 8, 8)
    stage.eval()
    assert torch.equal(stage.logits(images), context.start(images))
    assert [p.shape for module in stage.trained() for p in module.parameters()] == [(2,)]


def test_crt_trains_a_new_classifier_on_the_old_backbone(new_context):
    context = new_context([9, 3, 2], follow="cosine")
    (stage,) = crt.METHOD.stages(SecondStageKnobs(features="fixed"), context)
    stage.eval().requires_grad_(False)
    (classifier,) = stage.trained()
    classifier.train().requires_grad_(True)
    assert stage.network.backbone is context.start.backbone
    assert classifier is not context.start.classifier
    batch = Batch({"image": torch.randn(4, 3, 8, 8)}, torch.tensor([0, 1, 2, 0]), torch.arange(4))
    before = context.start.backbone.norm.running_mean.clone()
    loss = stage(batch)["classification"]
    expected = F.cross_entropy(classifier(context.start.backbone(batch["image"])), batch.labels)
    assert torch.allclose(loss, expected)
    assert torch.equal(context.start.backbone.norm.running_mean, before)


@pytest.mark.parametrize("method", [crt.METHOD, lws.METHOD], ids=["crt", "lws"])
def test_second_stages_need_a_network(new_context, method):
    with pytest.raises(UsageError, match="continues from a trained network"):
        method.stages(method.knobs(), new_context([9, 3]))


@pytest.mark.parametrize("case", ["k4", "k10"])
def test_long_epoch_draws_classes_like_the_authors_sampler(golden, new_context, case):
    z = golden("sampler")
    labels, run = z[f"{case}/y"], int(z[f"{case}/num_samples_cls"])
    counts = np.bincount(labels)
    knobs = SecondStageKnobs(class_run=run, long_epoch=True)
    (stage,) = crt.METHOD.stages(knobs, new_context(counts.tolist(), follow="linear"))
    order = epoch_order(Sampling.of(stage), torch.from_numpy(labels), seed=0, epoch=0).flatten().numpy()
    assert len(order) == int(z[f"{case}/epoch_length"]) == counts.max() * len(counts)
    theirs = z[f"{case}/indices"]
    for drawn in (labels[order], labels[theirs]):
        blocks = drawn[: len(drawn) // run * run].reshape(-1, run)
        assert (blocks == blocks[:, :1]).all()
        assert np.ptp(np.bincount(drawn)) <= run
        passes = blocks[: len(blocks) // len(counts) * len(counts), 0].reshape(-1, len(counts))
        assert (np.sort(passes, axis=1) == np.arange(len(counts))).all()
    for label, count in enumerate(counts):
        for drawn in (order[labels[order] == label], theirs[labels[theirs] == label]):
            cycles = drawn[: len(drawn) // count * count].reshape(-1, count)
            assert (np.sort(cycles, axis=1) == np.flatnonzero(labels == label)).all()


def test_short_epoch_has_as_many_draws_as_images(new_context):
    (stage,) = crt.METHOD.stages(SecondStageKnobs(), new_context([30, 4], follow="linear"))
    labels = torch.tensor([0] * 30 + [1] * 4)
    order = epoch_order(Sampling.of(stage), labels, seed=0, epoch=3)
    assert len(order) == 34
    assert abs(int((labels[order] == 0).sum()) - 17) <= 4
