"""The subject of the analyses: a trained model, its features, and the pairs of its contrastive loss in real batches."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import torch
from torch import Tensor, nn

from ltray.analysis.separation import LabelledFeatures
from ltray.data.plan import Plan
from ltray.data.sampling import Sampling
from ltray.engine.train_step import derived_seed
from ltray.long_tail import LongTail
from ltray.parts.contrast import ContrastPairs
from ltray.results.predictions import TrainedModel
from ltray.stage import Stage


@dataclass(frozen=True)
class Contrast:
    """The contrastive loss of a stage in real batches.

    Attributes:
        stage: The stage.
        batches: The pairs of each batch, on the CPU.
    """

    stage: Stage
    batches: Sequence[ContrastPairs]


@dataclass
class AnalysedModel:
    """A trained model.

    Attributes:
        trained: The model.
        batches: Number of real batches in which pairs are measured.
        seed: Of these batches and of all draws.
    """

    trained: TrainedModel
    batches: int
    seed: int

    @property
    def tail(self) -> LongTail:
        """Class counts of the training set."""
        return self.trained.data.tail

    @property
    def names(self) -> Sequence[str]:
        """Class names in label order."""
        return self.trained.data.class_names

    @cached_property
    def order(self) -> list[int]:
        """The labels, that of the most frequent class first."""
        return sorted(range(self.tail.classes), key=lambda label: -self.tail.counts[label])

    @property
    def ordered_names(self) -> list[str]:
        """Class names, that of the most frequent class first."""
        return [self.names[label] for label in self.order]

    @property
    def method(self) -> str:
        """The names of the methods."""
        return " + ".join(method.name for method in self.trained.experiment.methods)

    @property
    def network(self) -> nn.Module:
        """The network of the last stage."""
        return self.trained.stage.network

    @cached_property
    def features(self) -> LabelledFeatures:
        """Features of the training images without augmentation."""
        data = self.trained.data.without_augmentation()
        return LabelledFeatures(data.features(self.trained.stage.network.backbone), data.labels)

    @cached_property
    def selection(self) -> LabelledFeatures:
        """Features of the images on which models are compared."""
        data = self.trained.data.without_augmentation()
        return LabelledFeatures(*data.selection_features(self.trained.stage.network.backbone))

    @cached_property
    def weight(self) -> Tensor | None:
        """The weight of the classifier (K, d) if it has one for each feature, else None."""
        weight = getattr(self.trained.stage.network.classifier, "weight", None)
        shape = (self.tail.classes, self.trained.stage.network.backbone.width)
        return weight.detach() if isinstance(weight, Tensor) and weight.shape == shape else None

    @cached_property
    def image_stage(self) -> tuple[int, Stage] | None:
        """The last stage that trains on images, with its index; None: all train on features or have no epochs."""
        found = [(i, one) for i, one in enumerate(self.trained.stages) if one.source == "images" and one.recipe.epochs]
        return found[-1] if found else None

    def plan(self, index: int, stage: Stage) -> Plan:
        """Return the order of a stage's training images as in its training."""
        data = self.trained.data.without_augmentation()
        selected, seed = stage.select(data), derived_seed(self.seed, index)
        batch = stage.recipe.batch_size
        return Plan.of(data.labels.cpu(), selected, sampling=Sampling.of(stage), seed=seed, batch=batch)

    @cached_property
    def contrast(self) -> Contrast | None:
        """The pairs of the last stage with a contrastive loss of pairs; None: no stage has one."""
        for index, stage in reversed(list(enumerate(self.trained.stages))):
            if type(stage).pairs is not Stage.pairs:
                return self._measured(index, stage)
        return None

    @torch.no_grad()
    def _measured(self, index: int, stage: Stage) -> Contrast | None:
        """Return the pairs of a copy of a stage in training mode: BatchNorm has the statistics of the batch."""
        torch.manual_seed(self.seed)
        stage = copy.deepcopy(stage).train()
        selected = stage.select(self.trained.data.without_augmentation())
        loader = self.trained.data.training(stage, selected, seed=derived_seed(self.seed, index))
        found: list[ContrastPairs] = []
        for epoch in range(-(-self.batches // max(loader.steps, 1))):
            for batch in islice(loader.epoch(epoch), self.batches - len(found)):
                pairs = stage.pairs(batch)
                if pairs is None:
                    return None
                found.append(pairs)
        return Contrast(stage, found)
