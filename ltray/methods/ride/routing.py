"""Routing: the experts are evaluated one after the other until a router stops."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltray.methods.ride.experts import ExpertBackbone, ExpertClassifier
from ltray.network import Network

HIDDEN = 16


class Router(nn.Module):
    """Decides after each expert except the last whether to evaluate the next.

    Its inputs are the best scores of the mean so far and a small projection of the expert's unit
    features; the last layer is shared by all experts (RIDE's official code).

    Args:
        experts: Number of experts E, at least 2.
        width: Feature width d of each.
        top: Number k of best scores in its input.
    """

    def __init__(self, experts: int, width: int, top: int) -> None:
        super().__init__()
        self.top = top
        self.hidden = nn.ModuleList(nn.Linear(width, HIDDEN) for _ in range(experts - 1))
        self.last = nn.Linear(HIDDEN + top, 1)

    def forward(self, index: int, features: Tensor, scores: Tensor) -> Tensor:
        """Return the logit (B,) of needed expert index + 1.

        Args:
            index: The expert evaluated last, from 0.
            features: Its features (B, d).
            scores: Mean of the scores so far (B, K).
        """
        projected = F.relu(self.hidden[index](F.normalize(features, dim=1)))
        inputs = torch.cat([scores.topk(self.top, dim=1).values.to(projected.dtype), projected], dim=1)
        logits: Tensor = self.last(inputs).squeeze(1)
        return logits


class RoutedClassifier(nn.Module):
    """The mean over the experts that were evaluated.

    Args:
        experts: The experts' classifiers; shared, not copied.
        router: Decides whether to evaluate the next expert.
    """

    def __init__(self, experts: ExpertClassifier, router: Router) -> None:
        super().__init__()
        self.experts = experts
        self.router = router

    def forward(self, features: Tensor) -> Tensor:
        """Map the experts' features (B, E·d) to scores (B, K)."""
        parts = features.chunk(len(self.experts.heads), dim=1)
        rows = torch.arange(features.shape[0], device=features.device)
        return self.route(lambda index, rows: parts[index][rows], rows)[0]

    def route(self, features_of: Callable[[int, Tensor], Tensor], rows: Tensor) -> tuple[Tensor, Tensor]:
        """Evaluate each expert only on the images that need it.

        Args:
            features_of: Returns an expert's features of the given rows, (index, rows) to (n, d).
            rows: All rows, 0 … B−1, int64.

        Returns:
            Scores (B, K) and the number of experts evaluated (B,).
        """
        if torch.compiler.is_exporting():
            return self._route_all(features_of, rows)
        features = features_of(0, rows)
        summed: Tensor = self.experts.heads[0](features)
        used = torch.ones_like(rows)
        for index in range(1, len(self.experts.heads)):
            needed = self.router(index - 1, features, summed[rows] / index) > 0
            rows = rows[needed]
            if not len(rows):
                break
            features = features_of(index, rows)
            summed = summed.index_add(0, rows, self.experts.heads[index](features))
            used[rows] += 1
        return summed / used.unsqueeze(1), used

    def _route_all(self, features_of: Callable[[int, Tensor], Tensor], rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return what `route` returns, with every expert evaluated on every row: a graph without branches."""
        features = features_of(0, rows)
        summed: Tensor = self.experts.heads[0](features)
        used, needed = torch.ones_like(rows), torch.ones_like(rows, dtype=torch.bool)
        for index in range(1, len(self.experts.heads)):
            needed = needed & (self.router(index - 1, features, summed / index) > 0)
            features = features_of(index, rows)
            summed = torch.where(needed.unsqueeze(1), summed + self.experts.heads[index](features), summed)
            used = used + needed
        return summed / used.unsqueeze(1), used

    def routing_logits(self, features: Tensor, scores: Tensor) -> Tensor:
        """Return the router's logits after every expert but the last (E−1, B), as in training.

        Args:
            features: The experts' features (B, E·d).
            scores: Their scores (E, B, K).
        """
        parts = features.chunk(len(scores), dim=1)
        means = scores.cumsum(dim=0) / torch.arange(1, len(scores) + 1, device=scores.device).view(-1, 1, 1)
        return torch.stack([self.router(i, parts[i], means[i]) for i in range(len(scores) - 1)])


class RoutedNetwork(Network):
    """Computes an expert only for the images that need it; equal to routing on the features of all experts.

    Args:
        backbone: The experts.
        classifier: Routes between them.
    """

    backbone: ExpertBackbone
    classifier: RoutedClassifier

    def __init__(self, backbone: ExpertBackbone, classifier: RoutedClassifier) -> None:
        super().__init__(backbone, classifier)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to scores (B, K)."""
        return self.routed(images)[0]

    def routed(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scores (B, K) and the number of experts evaluated for each image (B,)."""
        shared = self.backbone.stem(images)
        rows = torch.arange(images.shape[0], device=images.device)
        return self.classifier.route(lambda index, rows: self.backbone.expert(index, shared[rows]), rows)
