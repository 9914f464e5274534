"""RIDE: experts on a shared stem are pushed apart; a router asks only as many as needed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ltray.knobs import Value, knob
from ltray.methods.cross_entropy import POLICIES, BaselineKnobs
from ltray.methods.ride_losses import (
    diversity,
    diversity_temperatures,
    experts_loss,
    routing_loss,
    routing_target,
)
from ltray.parts.experts import ExpertBackbone, ExpertClassifier, expert_backbone
from ltray.parts.heads import Network
from ltray.parts.margin_losses import class_balanced_weights, ldam_margins
from ltray.parts.routing import RoutedClassifier, RoutedNetwork, Router
from ltray.recipe import Recipe
from ltray.stage import Batch, Method, Setting, Stage, Terms, View


def _top_choices(knobs: "RIDEKnobs", classes: int) -> int:
    return classes


@dataclass(frozen=True)
class RIDEKnobs(BaselineKnobs):
    """The experts, their diversity, and the routing stage."""

    weight_decay: float = knob(5e-4, "wd", "L2 penalty", low=0.0, high=1.0, log=True, search=(1e-4, 1e-3))
    nesterov: bool = knob(True, "", "Nesterov's form of momentum")
    experts: int = knob(
        3, "E", "number of experts; the distillation's teacher has 6", low=2, high=8, search=(2, 4), tried=(2, 3, 4, 6)
    )
    narrow: bool = knob(True, "", "whether the experts' stages have three quarters of the usual width")
    diversity: float = knob(
        -0.2,
        "λ",
        "factor of the divergence from the mean, negative to push apart; 0 trains the mean alone",
        low=-10.0,
        high=10.0,
        search=(-0.6, -0.05),
        tried=(-0.45, -0.2, 0.0),
    )
    temperature: float = knob(
        1.0,
        "T",
        "of the most frequent class in the diversity term",
        low=0.05,
        high=100.0,
        search=(0.5, 2.0),
        tried=(1.0, 2.0),
    )
    temperature_factor: float = knob(
        0.05,
        "f",
        "how much lower the temperatures of rarer classes are, once reweighted",
        low=0.0,
        high=0.99,
        tried=(0.015, 0.02, 0.05),
    )
    margin: float = knob(0.5, "m", "LDAM margin of the rarest class", low=0.0, high=2.0, search=(0.1, 0.8))
    scale: float = knob(30.0, "s", "factor of the cosines", low=1.0, high=200.0, search=(10.0, 60.0))
    beta: float = knob(0.9999, "β", "of the class weights once they apply", low=0.0, high=1.0)
    reweight_epoch: int = knob(
        160, "", "epoch from which classes are weighted", low=0, at_most="epochs", in_epochs=True
    )
    routing_epochs: int = knob(5, "", "epochs of the routing stage; 0 always asks all experts", low=0, high=10_000)
    routing_batch_size: int = knob(512, "B", "images a step of the routing stage", low=1, high=65_536)
    routing_learning_rate: float = knob(0.01, "lr", "peak of the routing stage", low=1e-8, high=100.0, log=True)
    routing_top: int = knob(5, "k", "best scores that a router sees", low=1, at_most=_top_choices, tried=(30, 50))
    routing_positive_weight: float = knob(
        100.0, "", "weight of images that need a further expert", low=0.01, high=1e6, tried=(20.0, 100.0)
    )

    paper_values: ClassVar[Mapping[str, Mapping[str, Value]]] = {
        "default": dict(),
        "cifar10_lt": dict(diversity=-0.45),
        "cifar100_lt": dict(diversity=-0.45, routing_top=30),
        "imagenet_lt": dict(
            epochs=100,
            batch_size=256,
            weight_decay=2e-4,
            milestones=(60, 80),
            decay=0.1,
            reweight_epoch=80,
            temperature_factor=0.02,
            routing_top=50,
        ),
        "places_lt": dict(
            BaselineKnobs.paper_values["places_lt"], reweight_epoch=24, temperature_factor=0.02, routing_top=50
        ),
        "inat18": dict(
            epochs=100,
            batch_size=512,
            learning_rate=0.2,
            weight_decay=2e-4,
            milestones=(60, 80),
            decay=0.1,
            reweight_epoch=80,
            temperature_factor=0.015,
            routing_top=50,
        ),
        "digits_lt": dict(
            BaselineKnobs.paper_values["digits_lt"], reweight_epoch=24, routing_epochs=5, routing_batch_size=32
        ),
    }


class RIDE(Stage):
    """Cross-entropy with margins of every expert and their divergence from the mean."""

    margins: Tensor
    late_weight: Tensor
    late_temperatures: Tensor

    def __init__(self, knobs: RIDEKnobs, setting: Setting) -> None:
        super().__init__(knobs)
        self.knobs = knobs
        self.views = (View("image", POLICIES[knobs.augmentation]),)
        backbone = expert_backbone(setting.new_network("cosine").backbone, knobs.experts, narrow=knobs.narrow)
        classifier = ExpertClassifier(knobs.experts, backbone.each, setting.tail.classes, scale=knobs.scale)
        self.network = Network(backbone, classifier)
        temperatures = diversity_temperatures(setting.tail, factor=knobs.temperature_factor, base=knobs.temperature)
        for name, value in {
            "margins": knobs.scale * ldam_margins(setting.tail, knobs.margin),
            "late_weight": class_balanced_weights(setting.tail, knobs.beta),
            "late_temperatures": temperatures,
        }.items():
            self.register_buffer(name, value, persistent=False)
        self.weighted = False

    def begin_epoch(self, epoch: int) -> None:
        """Switch class weights and class temperatures on from `reweight_epoch`."""
        self.weighted = epoch >= self.knobs.reweight_epoch

    def forward(self, batch: Batch) -> Terms:
        """Return the classification and the diversity term."""
        return self.terms(self.expert_scores(batch["image"]), batch.labels)

    def expert_scores(self, images: Tensor) -> Tensor:
        """Return the scores of every expert (E, B, K)."""
        classifier = self.network.classifier
        assert isinstance(classifier, ExpertClassifier)
        return classifier.each(self.network.backbone(images))

    def terms(self, scores: Tensor, labels: Tensor) -> Terms:
        """Return the loss terms of the experts' scores (E, B, K)."""
        knobs = self.knobs
        weight = self.late_weight if self.weighted else torch.ones_like(self.late_weight)
        classified = scores
        if knobs.diversity == 0.0:  # the official code then trains the mean, E times
            classified = scores.mean(dim=0).expand_as(scores)
        terms = {"classification": experts_loss(classified, labels, margins=self.margins, weight=weight)}
        if knobs.diversity != 0.0:
            flat = torch.full_like(self.late_temperatures, knobs.temperature)
            temperatures = self.late_temperatures if self.weighted else flat
            terms["diversity"] = knobs.diversity * diversity(scores, temperatures)
        return terms

    def logits(self, images: Tensor) -> Tensor:
        """Return the mean of the experts' scores."""
        scores: Tensor = self.network(images)
        return scores


class Routing(Stage):
    """Trains the routers on frozen experts."""

    network: RoutedNetwork
    sampling = "class_balanced"

    def __init__(self, knobs: RIDEKnobs, first: RIDE) -> None:
        super().__init__(_routing_recipe(knobs))
        backbone, experts = first.network.backbone, first.network.classifier
        assert isinstance(backbone, ExpertBackbone) and isinstance(experts, ExpertClassifier)
        self.positive_weight = knobs.routing_positive_weight
        self.views = first.views
        router = Router(knobs.experts, backbone.each, knobs.routing_top)
        self.network = RoutedNetwork(backbone, RoutedClassifier(experts, router))

    def trained(self) -> Sequence[nn.Module]:
        """Train the routers."""
        return [self.network.classifier.router]

    def forward(self, batch: Batch) -> Terms:
        """Return the routing term."""
        classifier = self.network.classifier
        with torch.no_grad():
            features = self.network.backbone(batch["image"])
            scores = classifier.experts.each(features)
        asks = classifier.asks(features, scores)
        return {"routing": routing_loss(asks, routing_target(scores, batch.labels), self.positive_weight)}

    def logits(self, images: Tensor) -> Tensor:
        """Return the mean over the experts asked."""
        scores: Tensor = self.network(images)
        return scores


def _routing_recipe(knobs: RIDEKnobs) -> Recipe:
    return Recipe(
        epochs=knobs.routing_epochs,
        batch_size=knobs.routing_batch_size,
        learning_rate=knobs.routing_learning_rate,
        weight_decay=knobs.weight_decay,
        momentum=knobs.momentum,
        nesterov=knobs.nesterov,
        warmup_epochs=0,
        schedule="cosine_annealing",
        precision=knobs.precision,
    )


def _stages(knobs: RIDEKnobs, setting: Setting) -> Sequence[Stage]:
    first = RIDE(knobs, setting)
    return [first, Routing(knobs, first)] if knobs.routing_epochs else [first]


METHOD = Method(
    name="ride",
    paper="Wang et al., Long-Tailed Recognition by Routing Diverse Distribution-Aware Experts, ICLR 2021 "
    "(arXiv:2010.01809)",
    knobs=RIDEKnobs,
    stages=_stages,
)
