"""RIDE: diverse experts on a shared stem; a router decides how many are evaluated for each image."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ltray.methods.cross_entropy import policy_of
from ltray.methods.ride.experts import ExpertBackbone, ExpertClassifier, expert_backbone
from ltray.methods.ride.knobs import RIDEKnobs
from ltray.methods.ride.losses import (
    diversity,
    diversity_temperatures,
    experts_loss,
    routing_loss,
    routing_target,
)
from ltray.methods.ride.routing import RoutedClassifier, RoutedNetwork, Router
from ltray.network import Network
from ltray.parts.margin_losses import class_balanced_weights, ldam_margins
from ltray.recipe import Recipe
from ltray.stage import Batch, BuildContext, Losses, Method, Stage, View


class RIDE(Stage):
    """Cross-entropy with margins of every expert and their divergence from the mean."""

    margins: Tensor
    late_weight: Tensor
    late_temperatures: Tensor

    def __init__(self, knobs: RIDEKnobs, context: BuildContext) -> None:
        super().__init__(knobs)
        self.knobs = knobs
        self.views = (View("image", policy_of(knobs.augmentation)),)
        backbone = expert_backbone(context.new_network("cosine").backbone, knobs.experts, narrow=knobs.narrow)
        classifier = ExpertClassifier(knobs.experts, backbone.each, context.tail.classes, scale=knobs.scale)
        self.network = Network(backbone, classifier)
        temperatures = diversity_temperatures(context.tail, factor=knobs.temperature_factor, base=knobs.temperature)
        for name, value in {
            "margins": knobs.scale * ldam_margins(context.tail, knobs.margin),
            "late_weight": class_balanced_weights(context.tail, knobs.beta),
            "late_temperatures": temperatures,
        }.items():
            self.register_buffer(name, value, persistent=False)
        self.weighted = False

    def begin_epoch(self, epoch: int) -> None:
        """Switch class weights and class temperatures on from `reweight_epoch`."""
        self.weighted = epoch >= self.knobs.reweight_epoch

    def forward(self, batch: Batch) -> Losses:
        """Return the classification and the diversity term."""
        return self.terms(self.expert_scores(batch["image"]), batch.labels)

    def expert_scores(self, images: Tensor) -> Tensor:
        """Return the scores of every expert (E, B, K)."""
        classifier = self.network.classifier
        assert isinstance(classifier, ExpertClassifier)
        return classifier.each(self.network.backbone(images))

    def terms(self, scores: Tensor, labels: Tensor) -> Losses:
        """Return the loss terms of the experts' scores (E, B, K)."""
        knobs = self.knobs
        weight = self.late_weight if self.weighted else torch.ones_like(self.late_weight)
        classified = scores
        if knobs.diversity == 0.0:  # the official code then trains the mean, E times
            classified = scores.mean(dim=0).expand_as(scores)
        terms = {"classification": experts_loss(classified, labels, margins=self.margins, weight=weight)}
        if knobs.diversity != 0.0 and knobs.experts > 1:  # one expert is its own mean
            flat = torch.full_like(self.late_temperatures, knobs.temperature)
            temperatures = self.late_temperatures if self.weighted else flat
            terms["diversity"] = knobs.diversity * diversity(scores, temperatures)
        return terms


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

    def forward(self, batch: Batch) -> Losses:
        """Return the routing term."""
        classifier = self.network.classifier
        with torch.no_grad():
            features = self.network.backbone(batch["image"])
            scores = classifier.experts.each(features)
        logits = classifier.routing_logits(features, scores)
        return {"routing": routing_loss(logits, routing_target(scores, batch.labels), self.positive_weight)}


def _routing_recipe(knobs: RIDEKnobs) -> Recipe:
    return Recipe(
        epochs=knobs.routing_epochs,
        batch_size=knobs.routing_batch_size,
        learning_rate=knobs.routing_learning_rate,
        weight_decay=knobs.weight_decay,
        optimizer=knobs.optimizer,
        decay_norms=knobs.decay_norms,
        clip_norm=knobs.clip_norm,
        momentum=knobs.momentum,
        nesterov=knobs.nesterov,
        warmup_epochs=0,
        schedule="cosine_annealing",
        average_decay=knobs.average_decay,
        precision=knobs.precision,
    )


def _stages(knobs: RIDEKnobs, context: BuildContext) -> Sequence[Stage]:
    first = RIDE(knobs, context)
    return [first, Routing(knobs, first)] if knobs.routes else [first]


METHOD = Method(
    name="ride",
    paper="Wang et al., Long-Tailed Recognition by Routing Diverse Distribution-Aware Experts, ICLR 2021 "
    "(arXiv:2010.01809)",
    knobs=RIDEKnobs,
    stages=_stages,
)
