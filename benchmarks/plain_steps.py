"""Training steps of BCL, ResCom and PaCo as a straightforward PyTorch loop has them, in float32.

The losses are those of `dense_losses`: they follow the formulas directly. Networks and heads are copies of those of
ltray's stages, so that both sides compute the same numbers; nothing else of ltray is used.
"""

import copy
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks import dense_losses as dense

Views = Mapping[str, Tensor]


class PlainBCL(nn.Module):
    """Logit compensation on one view, balanced contrast of two others with prototypes from the classifier's weights."""

    def __init__(self, stage: nn.Module) -> None:
        super().__init__()
        own = copy.deepcopy(stage)
        self.backbone, self.classifier, self.head = own.network.backbone, own.network.classifier, own.head
        self.prototypes, self.knobs = own.prototypes.mlp, own.knobs
        self.log_prior = own.log_prior.to(self.classifier.weight)

    def forward(self, views: Views, labels: Tensor) -> Tensor:
        """Return the loss."""
        features = self.backbone(torch.cat([views["classify"], views["first"], views["second"]]))
        scores = self.classifier(features[: len(labels)])
        _, first, second = F.normalize(self.head(features), dim=1).chunk(3)
        prototypes = F.normalize(self.prototypes(self.classifier.weight), dim=1)
        contrast = dense.balanced_contrast(
            first, second, labels, prototypes=prototypes, temperature=self.knobs.temperature
        )
        classification = dense.adjusted_cross_entropy(scores, labels, self.log_prior)
        return self.knobs.classification_weight * classification + self.knobs.contrastive_weight * contrast


class PlainResCom(nn.Module):
    """Balanced Softmax on two views, and their contrast with the batch and the hardest keys of a queue per class."""

    def __init__(self, stage: nn.Module) -> None:
        super().__init__()
        own = copy.deepcopy(stage)
        self.backbone, self.classifier, self.projector = own.network.backbone, own.network.classifier, own.projector
        self.knobs, self.log_prior = own.knobs, own.log_prior.to(self.classifier.weight)
        self.weights = own.class_weights.to(self.log_prior)
        self.keys, self.key_labels = own.queue.keys, own.queue.labels
        self.pointers = [0] * len(own.queue.pointers)

    def forward(self, views: Views, labels: Tensor) -> Tensor:
        """Return the loss; the first view then enters the queue."""
        features = self.backbone(torch.cat([views["first"], views["second"]]))
        scores = self.classifier(features)
        first, second = F.normalize(self.projector(features), dim=1).chunk(2)
        contrast = dense.mined_contrast(
            first,
            second,
            labels,
            queue=(self.keys.clone(), self.key_labels),
            weights=self.weights,
            mined=(self.knobs.hard_positives, self.knobs.hard_negatives),
            temperature=self.knobs.temperature,
        )
        self._push(first.detach(), labels)
        classification = dense.adjusted_cross_entropy(scores, labels.repeat(2), self.log_prior)
        return classification + self.knobs.contrastive_weight * contrast

    def _push(self, keys: Tensor, labels: Tensor) -> None:
        size = self.knobs.queue_size
        for label in labels.unique().tolist():
            for key in keys[labels == label]:
                self.keys[label * size + self.pointers[label]] = key
                self.pointers[label] = (self.pointers[label] + 1) % size


class PlainPaCo(nn.Module):
    """Queries against the keys of a momentum encoder, a queue of them, and class centres."""

    def __init__(self, stage: nn.Module) -> None:
        super().__init__()
        own = copy.deepcopy(stage)
        self.backbone, self.classifier, self.projector = own.network.backbone, own.network.classifier, own.projector
        self.key_encoder, self.knobs = own.key_encoder.copy, own.knobs
        self.log_prior = own.log_prior.to(self.classifier.weight)
        self.keys, self.key_labels, self.pointer = own.queue.keys, own.queue.labels, 0

    def forward(self, views: Views, labels: Tensor) -> Tensor:
        """Return the loss; the keys then enter the queue."""
        features = self.backbone(views["query"])
        queries = F.normalize(self.projector(features), dim=1)
        with torch.no_grad():
            sources = [*self.backbone.parameters(), *self.projector.parameters()]
            for key, query in zip(self.key_encoder.parameters(), sources, strict=True):
                key.data = key.data * self.knobs.key_momentum + query.data * (1.0 - self.knobs.key_momentum)
            keys = F.normalize(self.key_encoder(views["key"]), dim=1)
        loss = dense.parametric_contrast(
            queries,
            keys,
            labels,
            queue=(self.keys.clone(), self.key_labels.clone()),
            centres=self.classifier(features) + self.log_prior,
            alpha=self.knobs.alpha,
            temperature=self.knobs.temperature,
        )
        where = torch.arange(self.pointer, self.pointer + len(labels)) % len(self.keys)
        self.keys[where], self.key_labels[where] = keys, labels
        self.pointer = (self.pointer + len(labels)) % len(self.keys)
        return loss


PLAIN = {"bcl": PlainBCL, "rescom": PlainResCom, "paco": PlainPaCo}
"""The plain step of each method."""


class PlainSide:
    """A method's plain training loop on one batch.

    Args:
        name: A key of `PLAIN`.
        stage: ltray's stage, whose weights are copied.
        views: The views of the batch by name.
        labels: Their labels.
    """

    def __init__(self, name: str, stage: nn.Module, views: Views, labels: Tensor) -> None:
        self.model = PLAIN[name](stage).train()
        self.views, self.labels = views, labels
        recipe = stage.recipe
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.SGD(
            trained,
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            nesterov=recipe.nesterov,
        )

    def step(self) -> float:
        """Take one step, and return its loss."""
        loss = self.model(self.views, self.labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return float(loss.item())
