"""RIDE's losses in the stages compared with the authors' code; routing and distillation."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from ltray.errors import UsageError
from ltray.experiment import Experiment
from ltray.long_tail import LongTail
from ltray.methods.ride import distilled as ride_distilled
from ltray.methods.ride import method as ride
from ltray.methods.ride.distilled import RIDEDistilledKnobs
from ltray.methods.ride.experts import ExpertBackbone, ExpertClassifier, expert_backbone
from ltray.methods.ride.knobs import RIDEKnobs
from ltray.methods.ride.losses import diversity, diversity_temperatures, routing_loss, routing_target
from ltray.methods.ride.method import RIDE, Routing
from ltray.methods.ride.routing import RoutedNetwork
from ltray.network import Network
from ltray.parts.backbones import new_backbone
from ltray.parts.heads import new_classifier
from ltray.published import published
from ltray.stage import Batch, BuildContext

CASES = ["k5", "k100"]


def _setting(counts, follow=False):
    def network(kind):
        backbone = new_backbone("resnet32")
        return Network(backbone, new_classifier(kind, width=backbone.width, classes=len(counts)))

    return BuildContext(LongTail(tuple(counts)), network, network("linear") if follow else None)


class GivenExperts(ExpertClassifier):
    """Returns the expert scores of the golden file for any image."""

    def __init__(self, scores):
        super().__init__(len(scores), 1, scores.shape[2], scale=1.0)
        self.scores = nn.Parameter(torch.from_numpy(scores))

    def each(self, features):
        """Return the scores; the features are ignored."""
        return self.scores


def _stage(z, case, method=ride, kind=RIDEKnobs, epoch=0, **knobs):
    context = _setting(z[f"{case}/counts"].tolist(), follow=method is ride_distilled)
    experts = len(z[f"{case}/logits"])
    stage = method.METHOD.stages(kind(experts=experts, routing_epochs=0, routing_top=5, **knobs), context)[0]
    stage.network = Network(nn.Identity(), GivenExperts(z[f"{case}/logits"]))
    stage.begin_epoch(epoch)
    labels = torch.from_numpy(z[f"{case}/y"])
    return stage, Batch({"image": torch.zeros(len(labels), 3, 8, 8)}, labels, torch.arange(len(labels)))


VARIANTS = {
    "ldam_before": dict(epoch=159, diversity=-0.45),
    "ldam_after": dict(epoch=160, diversity=-0.45),
    "imagenet_after": dict(epoch=160, diversity=-0.2, temperature_factor=0.02),
    "ce_only": dict(epoch=0, diversity=-0.2, margin=0.0),
    "temp2": dict(epoch=0, diversity=-0.2, temperature=2.0),
    "no_div": dict(epoch=0, diversity=0.0),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_loss_equals_the_authors_code(golden, case, variant):
    z = golden("ride")
    stage, batch = _stage(z, case, **VARIANTS[variant])
    loss = sum(stage(batch).values())
    loss.backward()
    assert loss.item() == pytest.approx(float(z[f"{case}/{variant}"]), abs=1e-8)
    np.testing.assert_allclose(stage.network.classifier.scores.grad, z[f"{case}/{variant}_grad"], atol=1e-8)


@pytest.mark.parametrize("case", CASES)
def test_class_temperatures_equal_the_authors_code(golden, case):
    z = golden("ride")
    found = diversity_temperatures(LongTail(tuple(z[f"{case}/counts"].tolist())), factor=0.05, base=1.0)
    np.testing.assert_allclose(found, z[f"{case}/div_weights_0.05"], atol=1e-8)


@pytest.mark.parametrize("case", CASES)
def test_distillation_equals_the_authors_code(golden, case):
    z = golden("ride")
    stage, batch = _stage(z, case, ride_distilled, RIDEDistilledKnobs, epoch=0, diversity=-0.45)
    teacher = torch.from_numpy(z[f"{case}/teacher"])
    stage.teacher = nn.Module()
    stage.teacher.forward = lambda images: teacher
    assert sum(stage(batch).values()).item() == pytest.approx(float(z[f"{case}/distill"]), abs=1e-8)


def test_diversity_equals_a_triple_loop():
    torch.manual_seed(0)
    scores, temperatures = torch.randn(2, 3, 4, dtype=torch.float64), torch.tensor([1.0, 0.9, 0.8, 0.7])
    expected = 0.0
    for expert in range(2):
        for image in range(3):
            mean = torch.softmax(scores.mean(dim=0)[image] / temperatures, dim=0).tolist()
            own = torch.softmax(scores[expert, image] / temperatures, dim=0).tolist()
            expected += sum(p * math.log(p / q) for p, q in zip(mean, own, strict=True)) / 3
    assert diversity(scores, temperatures).item() == pytest.approx(0.85**2 * expected)


def test_equal_experts_have_no_diversity():
    scores = torch.randn(1, 5, 4).expand(3, 5, 4)
    assert diversity(scores, torch.ones(4)).item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_routing_target_equals_the_formula(golden, case):
    z = golden("ride")
    target = routing_target(torch.from_numpy(z[f"{case}/logits"]), torch.from_numpy(z[f"{case}/y"]))
    np.testing.assert_array_equal(target, z[f"{case}/ea_target"])


def test_routing_loss_weights_the_images_that_need_an_expert():
    logits, target = torch.tensor([[2.0, -1.0]]), torch.tensor([[True, False]])
    expected = (100.0 * np.log1p(np.exp(-2.0)) + np.log1p(np.exp(-1.0))) / 2
    assert routing_loss(logits, target, 100.0).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("narrow", "width"), [(True, 48), (False, 64)])
def test_experts_of_resnet32_share_the_stem_and_are_narrow(narrow, width):
    backbone = expert_backbone(new_backbone("resnet32"), 3, narrow=narrow)
    assert (backbone.each, backbone.width, backbone.stride) == (width, 3 * width, 4)
    images = torch.randn(2, 3, 32, 32)
    backbone.eval()
    features = backbone(images)
    assert features.shape == (2, 3 * width)
    shared = backbone.stem(images)
    assert shared.shape == (2, 16, 32, 32)
    for index, part in enumerate(features.chunk(3, dim=1)):
        assert torch.allclose(backbone.expert(index, shared), part, atol=1e-6)
    assert not torch.equal(features[:, :width], features[:, width : 2 * width])


def test_experts_of_resnet50_have_the_widths_of_the_paper():
    backbone = expert_backbone(new_backbone("resnet50"), 2, narrow=True).eval()
    assert (backbone.each, backbone.width, backbone.stride) == (1536, 3072, 32)
    with torch.no_grad():
        assert backbone(torch.randn(1, 3, 64, 64)).shape == (1, 3072)


def test_experts_need_a_residual_network(new_context):
    with pytest.raises(UsageError, match="SmallBackbone"):
        ride.METHOD.stages(RIDEKnobs(), new_context([9, 3]))


def test_routing_stage_trains_only_the_routers():
    torch.manual_seed(0)
    first, routing = ride.METHOD.stages(RIDEKnobs(experts=3, routing_top=2), _setting([20, 9, 4]))
    assert isinstance(first, RIDE) and isinstance(routing, Routing)
    routing.eval().requires_grad_(False)
    for module in routing.trained():
        module.train().requires_grad_(True)
    batch = Batch({"image": torch.randn(6, 3, 8, 8)}, torch.tensor([0, 1, 2, 0, 1, 2]), torch.arange(6))
    routing(batch)["routing"].backward()
    reached = {name for name, parameter in routing.named_parameters() if parameter.grad is not None}
    assert reached and all(".router." in name for name in reached)
    assert routing.network.backbone is first.network.backbone
    assert (routing.recipe.epochs, routing.recipe.schedule, routing.sampling) == (
        5,
        "cosine_annealing",
        "class_balanced",
    )


def test_routers_have_the_same_input_as_in_training():
    torch.manual_seed(0)
    _, routing = ride.METHOD.stages(RIDEKnobs(experts=3, routing_top=2), _setting([20, 9, 4]))
    network = routing.network.eval()
    network.classifier.router.last.bias.data.fill_(0.0)
    network.classifier.router.last.weight.data.normal_(std=5.0)
    images = torch.randn(40, 3, 8, 8)
    with torch.no_grad():
        features = network.backbone(images)
        each = network.classifier.experts.each(features)
        logits = network.classifier.routing_logits(features, each) > 0
        scores, used = network.routed(images)
    expected = 1 + logits[0].long() + (logits[0] & logits[1]).long()
    assert torch.equal(used, expected)
    assert len(used.unique()) > 1
    means = each.cumsum(dim=0) / torch.arange(1, 4).view(-1, 1, 1)
    assert torch.allclose(scores, means[used - 1, torch.arange(40)], atol=1e-5)


def test_computing_only_requested_experts_gives_equal_scores():
    torch.manual_seed(0)
    _, routing = ride.METHOD.stages(RIDEKnobs(experts=4, routing_top=3), _setting([20, 9, 4]))
    network = routing.network.eval()
    assert isinstance(network, RoutedNetwork) and isinstance(network.backbone, ExpertBackbone)
    images = torch.randn(17, 3, 8, 8)
    with torch.no_grad():
        assert torch.allclose(network(images), network.classifier(network.backbone(images)), atol=1e-5)


def test_all_experts_are_used_without_routing_epochs():
    stages = ride.METHOD.stages(RIDEKnobs(routing_epochs=0), _setting([20, 9, 4, 3, 2]))
    assert [type(stage) for stage in stages] == [RIDE]


def test_router_cannot_use_more_scores_than_classes():
    with pytest.raises(UsageError, match="routing_top <= 10"):
        RIDEKnobs(routing_top=30).check_classes(10)


def test_teacher_is_not_trained():
    (stage, _) = ride_distilled.METHOD.stages(RIDEDistilledKnobs(routing_top=2), _setting([20, 9, 4], follow=True))
    stage.eval().requires_grad_(False)
    for module in stage.trained():
        module.train().requires_grad_(True)
    assert not stage.teacher.training and not any(p.requires_grad for p in stage.teacher.parameters())
    batch = Batch({"image": torch.randn(6, 3, 8, 8)}, torch.tensor([0, 1, 2, 0, 1, 2]), torch.arange(6))
    assert stage(batch).keys() == {"classification", "diversity", "distillation"}


@pytest.mark.parametrize("epoch", [0, 160])
@pytest.mark.parametrize("case", CASES)
def test_one_expert_has_only_the_loss_of_a_single_network(golden, case, epoch):
    """Published rows "RIDE 1 expert": LDAM's margins, late class weights, no diversity, no routing."""
    z = golden("ride")
    scores, labels = torch.from_numpy(z[f"{case}/logits"])[:1].clone(), torch.from_numpy(z[f"{case}/y"])
    tail = LongTail(tuple(z[f"{case}/counts"].tolist()))
    stages = ride.METHOD.stages(RIDEKnobs(experts=1), _setting(tail.counts))
    assert [type(stage) for stage in stages] == [RIDE]
    (stage,) = stages
    images = torch.randn(3, 3, 8, 8)
    assert torch.equal(stage.expert_scores(images)[0], stage.network(images))
    stage.network = Network(nn.Identity(), GivenExperts(scores.numpy()))
    stage.begin_epoch(epoch)
    terms = stage(Batch({"image": torch.zeros(len(labels), 3, 8, 8)}, labels, torch.arange(len(labels))))
    assert terms.keys() == {"classification"}
    counts = np.array(tail.counts, dtype=np.float64)
    margins = 30.0 * 0.5 * (counts / counts.min()) ** -0.25
    lowered = scores[0] - torch.nn.functional.one_hot(labels, tail.classes) * torch.from_numpy(margins)
    weights = (1 - 0.9999) / (1 - 0.9999**counts) if epoch else np.ones_like(counts)
    expected = torch.nn.functional.cross_entropy(lowered, labels, weight=torch.from_numpy(weights))
    assert terms["classification"].item() == pytest.approx(expected.item(), rel=1e-9)


def test_knobs_of_several_experts_are_refused_with_one():
    for name, spec in RIDEKnobs.specs().items():
        if spec.needs and spec.needs[0] == "experts":
            with pytest.raises(UsageError, match=f"`{name}` has no effect with experts=1"):
                ride.METHOD.knobs.resolve("default", {"experts": 1, name: 2 * getattr(RIDEKnobs, name)})


def test_published_rows_of_one_expert_can_be_run():
    rows = [claim for claim in published() if claim.settings.get("ride.experts") == 1]
    assert [(claim.source, claim.table, claim.dataset, claim.all) for claim in rows] == [
        ("PaCo", "10", "imagenet-lt", 52.8),
        ("PaCo", "10", "imagenet-lt", 53.2),
        ("PaCo", "12", "inat2018", 65.2),
    ]
    for claim in rows:
        run = {"dataset": claim.dataset, "methods": list(claim.methods), **claim.settings, **claim.recipe}
        experiment = Experiment.from_settings(run)
        assert experiment.knobs[0].experts == 1 and not experiment.knobs[0].routes
