"""DLSA's Flow Filter, and the base class of all stages of DLSA."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ltray.methods.dlsa.division import OPEN, DivisionTree, cluster_classes
from ltray.methods.dlsa.knobs import DLSAKnobs
from ltray.methods.dlsa.losses import ClusterUse, balance_loss, class_weights, likelihood_loss, purity_loss
from ltray.methods.dlsa.unit_features import UnitFeatures
from ltray.network import Backbone, Network
from ltray.recipe import Recipe
from ltray.stage import Batch, Losses, Stage, TrainingData, View


class DivisionStage(Stage):
    """A stage of DLSA: it maps features to the scores of the complete division."""

    source = "features"

    def __init__(self, recipe: Recipe, knobs: DLSAKnobs, backbone: Backbone, tree: DivisionTree) -> None:
        super().__init__(recipe)
        self.knobs = knobs
        self.network = Network(backbone, tree)

    @property
    def tree(self) -> DivisionTree:
        """The division that all stages share."""
        tree = self.network.classifier
        assert isinstance(tree, DivisionTree)
        return tree

    def members(self, part: int) -> Tensor:
        """Return the training positions that level `part` keeps, or those that no level keeps."""
        return (self.tree.settled == part).nonzero().squeeze(1)

    def class_counts(self, data: TrainingData, part: int) -> Tensor:
        """Return the number of images of each class (C,) in a part."""
        classes = self.tree.level(0).prior.shape[1]
        labels = data.labels.to(self.tree.settled.device)
        return torch.bincount(labels[self.members(part)], minlength=classes)


class FlowFilter(DivisionStage):
    """Fits the flow of one level to the images that no earlier level keeps."""

    weights: Tensor
    most_clusters: Tensor
    sampling = "pairs"
    views = (View("positive"), View("negative"))

    def __init__(self, knobs: DLSAKnobs, backbone: Backbone, tree: DivisionTree, depth: int) -> None:
        super().__init__(knobs, knobs, backbone, tree)
        self.depth = depth
        self.level = tree.level(depth)
        clusters, classes = self.level.prior.shape
        self.use = ClusterUse(clusters, knobs.cluster_momentum)
        self.best = copy.deepcopy(self.level.filter)
        self.register_buffer("weights", torch.zeros(classes, dtype=torch.float64))
        self.register_buffer("most_clusters", torch.tensor(-1))
        self.last_epoch = False

    def prepare(self, data: TrainingData) -> None:
        """Weight the classes by their counts among the open images."""
        backbone = self.network.backbone
        if isinstance(backbone, UnitFeatures) and self.depth == 0:
            backbone.fit(data)
        self.weights.copy_(class_weights(self.class_counts(data, OPEN), self.knobs.class_power))

    def select(self, data: TrainingData) -> Tensor:
        """Return the open images."""
        return self.members(OPEN)

    def trained(self) -> Sequence[nn.Module]:
        """Train the flow."""
        return [self.level.filter]

    def forward(self, batch: Batch) -> Losses:
        """Return the terms of L_MLE, L_bal and L_pure that have a weight."""
        knobs, flow = self.knobs, self.level.filter
        positive, negative = flow(batch["positive"]), flow(batch["negative"])
        terms: Losses = {}
        if knobs.likelihood_weight > 0:
            loss = likelihood_loss(positive.log_likelihood, self.weights[batch.labels])
            terms["likelihood"] = knobs.likelihood_weight * loss
        if knobs.balance_weight > 0:
            terms["balance"] = knobs.balance_weight * balance_loss(self.use(positive.posterior))
        if knobs.purity_weight > 0:
            terms["purity"] = knobs.purity_weight * purity_loss(
                positive.scores, negative.scores, hard=knobs.hard_purity, fixed_target=knobs.fixed_target
            )
        return terms

    def begin_epoch(self, epoch: int) -> None:
        """Record whether this is the last epoch."""
        self.last_epoch = epoch + 1 == self.recipe.epochs

    @torch.no_grad()
    def end_epoch(self, data: TrainingData) -> None:
        """Store the flow of the epoch with the best clusters; restore it after the last epoch.

        If no epoch qualifies, the flow of the last epoch is kept.
        """
        flow, device = self.level.filter, self.tree.settled.device
        flow.eval()
        _, cluster = self.level.measure(data.features(self.network.backbone).to(device)[self.members(OPEN)])
        flow.train()
        labels = data.labels.to(device)[self.members(OPEN)]
        found = self.good_clusters(cluster_classes(cluster, labels, shape=self.level.prior.shape))
        if found > self.most_clusters:
            self.most_clusters.fill_(found)
            self.best.load_state_dict(flow.state_dict())
        if self.last_epoch and self.most_clusters >= 0:
            flow.load_state_dict(self.best.state_dict())

    def chosen(self) -> dict[str, float]:
        """Return the number of large, pure clusters of the best epoch so far; −1 where none qualified."""
        return {"good_clusters": float(self.most_clusters)}

    def good_clusters(self, counts: Tensor) -> int:
        """Count the large, pure clusters; −1 where one is too large for the epoch to qualify.

        Args:
            counts: Images of each class in each cluster (clusters, classes).
        """
        size = counts.sum(dim=1)
        good = (counts.amax(dim=1) > self.knobs.min_purity * size) & (size > self.knobs.min_size)
        return -1 if size.max() >= self.knobs.max_size else int(good.sum())
