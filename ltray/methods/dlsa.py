"""DLSA: flows divide the images by likelihood; each part gets a classifier of its own."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ltray.errors import UsageError
from ltray.methods.dlsa_knobs import DLSAKnobs
from ltray.methods.dlsa_losses import (
    ClusterUse,
    balance_loss,
    class_weights,
    classifier_loss,
    likelihood_loss,
    purity_loss,
)
from ltray.parts.backbones import Backbone
from ltray.parts.division import OPEN, DivisionTree, Level, TwoTermClassifier, cluster_classes
from ltray.parts.flow_mixture import FlowMixture
from ltray.parts.flows import AutoregressiveFlow
from ltray.parts.heads import Network
from ltray.parts.unit_features import UnitFeatures
from ltray.recipe import Recipe
from ltray.stage import Batch, Method, Setting, Stage, Terms, TrainingData, View


class DivisionStage(Stage):
    """A stage of DLSA: features in, the whole tree's scores out."""

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

    def logits(self, images: Tensor) -> Tensor:
        """Return the scores of the part each image falls into."""
        scores: Tensor = self.network(images)
        return scores

    def feature_network(self) -> nn.Module:
        """Return the frozen backbone."""
        return self.network.backbone

    def members(self, part: int) -> Tensor:
        """Return the training positions that level `part` keeps, or the open ones."""
        return (self.tree.settled == part).nonzero().squeeze(1)

    def class_counts(self, data: TrainingData, part: int) -> Tensor:
        """Return the number of images of each class (C,) in a part."""
        classes = self.tree.level(0).prior.shape[1]
        labels = data.labels.to(self.tree.settled.device)
        return torch.bincount(labels[self.members(part)], minlength=classes)


class FlowFilter(DivisionStage):
    """Fits the flow of one level to the images that no level before it keeps."""

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
        """Weigh the classes by their counts among the open images."""
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

    def forward(self, batch: Batch) -> Terms:
        """Return the terms of L_MLE, L_bal and L_pure that have a weight."""
        knobs, flow = self.knobs, self.level.filter
        positive, negative = flow(batch["positive"]), flow(batch["negative"])
        terms: Terms = {}
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
        """Note whether this is the last epoch."""
        self.last_epoch = epoch + 1 == self.recipe.epochs

    @torch.no_grad()
    def end_epoch(self, data: TrainingData) -> None:
        """Remember the flow of the best epoch by its clusters; return to it after the last one.

        Where no epoch qualifies the last one stays.
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

    def good_clusters(self, counts: Tensor) -> int:
        """Count the large, pure clusters; −1 where one is too large for the epoch to qualify.

        Args:
            counts: Images of each class in each cluster (clusters, classes).
        """
        size = counts.sum(dim=1)
        good = (counts.amax(dim=1) > self.knobs.min_purity * size) & (size > self.knobs.min_size)
        return -1 if size.max() >= self.knobs.max_size else int(good.sum())


class PartClassifier(DivisionStage):
    """Trains the classifier of one part: of what a level keeps, or of what none keeps."""

    adjustment: Tensor

    def __init__(
        self, knobs: DLSAKnobs, setting: Setting, *, backbone: Backbone, tree: DivisionTree, part: int
    ) -> None:
        super().__init__(_classifier_recipe(knobs), knobs, backbone, tree)
        self.part = part
        self.classifier = tree.regular if part == OPEN else tree.level(part).aided
        self.original = setting.continued().classifier
        self.whole = setting.tail.count_tensor()
        self.sampling = "class_aware" if knobs.classifier_sampling == "class_aware" else "natural"
        self.views = (View("features"),)
        self.register_buffer("adjustment", torch.zeros(setting.tail.classes, dtype=torch.float64))

    @torch.no_grad()
    def prepare(self, data: TrainingData) -> None:
        """Divide, count the part's classes, and copy the network's own classifier."""
        if self.part != OPEN:
            features = data.features(self.network.backbone)
            self.tree.divide(self.part, features, data.labels, proportion=self.knobs.proportion)
        if self.knobs.classifier_loss == "balanced_softmax":
            whole = self.part == OPEN and self.knobs.rest_counts == "all"
            counts = self.whole if whole else self.class_counts(data, self.part)
            self.adjustment.copy_((counts + 1e-6).log())
        if self.knobs.classifier == "warm_linear":
            self._start_warm()

    def _start_warm(self) -> None:
        first, backbone = self.classifier.first, self.network.backbone
        assert isinstance(first, nn.Linear)
        first.load_state_dict(self.original.state_dict())
        if isinstance(backbone, UnitFeatures):
            first.weight.mul_(backbone.size)

    def select(self, data: TrainingData) -> Tensor:
        """Return the part's images."""
        return self.members(self.part)

    def trained(self) -> Sequence[nn.Module]:
        """Train the part's classifier."""
        return [self.classifier]

    def forward(self, batch: Batch) -> Terms:
        """Return the classification term."""
        features = batch["features"]
        prior = None
        if self.part != OPEN:
            level = self.tree.level(self.part)
            prior = level.prior[level.filter(features).cluster]
        scores = self.classifier(features, prior)
        return {
            "classification": classifier_loss(scores, batch.labels, self.adjustment, smoothing=self.knobs.smoothing)
        }


def _classifier_recipe(knobs: DLSAKnobs) -> Recipe:
    return Recipe(
        epochs=knobs.classifier_epochs,
        batch_size=knobs.classifier_batch_size,
        learning_rate=knobs.classifier_learning_rate,
        weight_decay=0.0,
        momentum=0.0,
        warmup_epochs=0,
        schedule="constant",
        precision=knobs.precision,
    )


def _tree(knobs: DLSAKnobs, setting: Setting) -> DivisionTree:
    width, classes = setting.continued().backbone.width, setting.tail.classes
    levels = []
    for _ in range(knobs.depth):
        flow = AutoregressiveFlow(width, blocks=knobs.blocks, hidden_layers=knobs.hidden_layers)
        mixture = FlowMixture(flow, width=width, clusters=knobs.clusters, distance=knobs.mean_distance)
        aided = TwoTermClassifier(width, classes, prior=True, cosine=knobs.classifier == "cosine")
        levels.append(Level(mixture, aided, classes=classes))
    regular = TwoTermClassifier(width, classes, prior=False, cosine=knobs.classifier == "cosine")
    return DivisionTree(levels, regular, images=setting.tail.total)


def _stages(knobs: DLSAKnobs, setting: Setting) -> Sequence[Stage]:
    start = setting.continued()
    if knobs.likelihood_weight == knobs.balance_weight == knobs.purity_weight == 0.0:
        raise UsageError("A Flow Filter needs a loss: likelihood_weight, balance_weight and purity_weight are all 0.")
    if knobs.classifier == "warm_linear" and not isinstance(start.classifier, nn.Linear):
        kind = type(start.classifier).__name__
        raise UsageError(f"classifier=warm_linear needs a network with a linear classifier, but got {kind}.")
    backbone = UnitFeatures(start.backbone) if knobs.features == "unit" else start.backbone
    tree = _tree(knobs, setting)
    stages: list[Stage] = []
    for depth in range(knobs.depth):
        stages.append(FlowFilter(knobs, backbone, tree, depth))
        stages.append(PartClassifier(knobs, setting, backbone=backbone, tree=tree, part=depth))
    return [*stages, PartClassifier(knobs, setting, backbone=backbone, tree=tree, part=OPEN)]


METHOD = Method(
    name="dlsa",
    paper="Xu et al., Constructing Balance from Imbalance for Long-Tailed Image Recognition, ECCV 2022 "
    "(arXiv:2208.02567)",
    knobs=DLSAKnobs,
    stages=_stages,
    follows=True,
)
