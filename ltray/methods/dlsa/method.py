"""DLSA: flows divide the images by likelihood; each part gets a separate classifier."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ltray.errors import UsageError
from ltray.methods.dlsa.division import OPEN, DivisionTree, Level, TwoTermClassifier
from ltray.methods.dlsa.flow_filter import DivisionStage, FlowFilter
from ltray.methods.dlsa.flow_mixture import FlowMixture
from ltray.methods.dlsa.knobs import DLSAKnobs
from ltray.methods.dlsa.losses import classifier_loss
from ltray.methods.dlsa.unit_features import UnitFeatures
from ltray.network import Backbone
from ltray.parts.flows import AutoregressiveFlow
from ltray.recipe import Recipe
from ltray.stage import Batch, BuildContext, Losses, Method, Stage, TrainingData, View


class PartClassifier(DivisionStage):
    """Trains the classifier of one part: of the images that a level keeps, or of those that no level keeps."""

    adjustment: Tensor

    def __init__(
        self, knobs: DLSAKnobs, context: BuildContext, *, backbone: Backbone, tree: DivisionTree, part: int
    ) -> None:
        super().__init__(_classifier_recipe(knobs), knobs, backbone, tree)
        self.part = part
        self.classifier = tree.regular if part == OPEN else tree.level(part).aided
        self.original = context.continued().classifier
        self.whole = context.tail.count_tensor()
        self.sampling = "class_aware" if knobs.classifier_sampling == "class_aware" else "natural"
        self.views = (View("features"),)
        self.register_buffer("adjustment", torch.zeros(context.tail.classes, dtype=torch.float64))

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

    def forward(self, batch: Batch) -> Losses:
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
        average_decay=knobs.average_decay,
        precision=knobs.precision,
    )


def _tree(knobs: DLSAKnobs, context: BuildContext) -> DivisionTree:
    width, classes = context.continued().backbone.width, context.tail.classes
    levels = []
    for _ in range(knobs.depth):
        flow = AutoregressiveFlow(width, blocks=knobs.blocks, hidden_layers=knobs.hidden_layers)
        mixture = FlowMixture(flow, width=width, clusters=knobs.clusters, distance=knobs.mean_distance)
        aided = TwoTermClassifier(width, classes, prior=True, cosine=knobs.classifier == "cosine")
        levels.append(Level(mixture, aided, classes=classes))
    regular = TwoTermClassifier(width, classes, prior=False, cosine=knobs.classifier == "cosine")
    return DivisionTree(levels, regular, images=context.tail.total)


def _stages(knobs: DLSAKnobs, context: BuildContext) -> Sequence[Stage]:
    start = context.continued()
    if knobs.likelihood_weight == knobs.balance_weight == knobs.purity_weight == 0.0:
        raise UsageError("A Flow Filter needs a loss: likelihood_weight, balance_weight and purity_weight are all 0.")
    if knobs.classifier == "warm_linear" and not isinstance(start.classifier, nn.Linear):
        kind = type(start.classifier).__name__
        raise UsageError(f"classifier=warm_linear needs a network with a linear classifier, but got {kind}.")
    backbone = UnitFeatures(start.backbone) if knobs.features == "unit" else start.backbone
    tree = _tree(knobs, context)
    stages: list[Stage] = []
    for depth in range(knobs.depth):
        stages.append(FlowFilter(knobs, backbone, tree, depth))
        stages.append(PartClassifier(knobs, context, backbone=backbone, tree=tree, part=depth))
    return [*stages, PartClassifier(knobs, context, backbone=backbone, tree=tree, part=OPEN)]


METHOD = Method(
    name="dlsa",
    paper="Xu et al., Constructing Balance from Imbalance for Long-Tailed Image Recognition, ECCV 2022 "
    "(arXiv:2208.02567)",
    knobs=DLSAKnobs,
    stages=_stages,
    needs_network=True,
)
