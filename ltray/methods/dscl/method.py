"""DSCL and PBSD: decoupled contrast and patch-based self-distillation, then a linear classifier."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, cast

import torch
from torch import Tensor, nn

from ltray.distributed import gather
from ltray.errors import UsageError
from ltray.methods.dscl.class_means import ClassMeans
from ltray.methods.dscl.knobs import LARGEST_QUEUE, PATCH_SHARE, DSCLKnobs, linear_knobs
from ltray.methods.dscl.losses import (
    decoupled_loss,
    decoupled_targets,
    region_features,
    self_distillation_loss,
    sums_with_batch,
    sums_with_queue,
)
from ltray.parts.contrast import ContrastBatch, ContrastPairs, unit
from ltray.parts.heads import mlp
from ltray.parts.key_queue import KeyQueue
from ltray.parts.losses import effective_number_weights
from ltray.parts.momentum import MomentumCopy
from ltray.parts.openclip_backbones import ImageTower
from ltray.parts.pairs import extended
from ltray.parts.queues import ClassQueue, balanced_slots
from ltray.parts.timm_backbones import TimmBackbone
from ltray.stage import Batch, BuildContext, Losses, Method, Patches, Stage, View
from ltray.stages.linear_classifier import LinearClassifier


class DecoupledContrast(Stage):
    """Stage 1: queries against momentum keys and a queue, patches against their regions.

    No classifier is trained; epochs are compared by the cosine of an image's key to the running
    mean key of each class. The inputs of the key encoder are complete views only, so that its BatchNorm
    statistics suit complete images; those of the query encoder are mostly of patches.

    Args:
        knobs: Hyperparameters.
        context: The data, the network and the image size.
    """

    class_weight: Tensor

    def __init__(self, knobs: DSCLKnobs, context: BuildContext) -> None:
        super().__init__(knobs)
        self.knobs = knobs
        self.classes = context.tail.classes
        self.network = context.new_network("linear")
        backbone = self.network.backbone
        if knobs.zero_start:
            _zero_last_norms(backbone, pretrained=context.pretrained)
        width = backbone.width
        if knobs.distillation_weight > 0.0 and not (backbone.any_size and backbone.averages):
            raise UsageError(
                "The distillation of patches needs a backbone that takes images of every size and averages its feature "
                "map; this one does not, and no transformer does: set `distillation_weight` to 0."
            )
        self.views = _views(knobs, context.image_size, stride=backbone.stride)
        self.projector = mlp(width, width, knobs.projection_width)
        self.key_encoder = MomentumCopy(
            (backbone, self.projector),
            momentum=knobs.key_momentum,
            shuffled=knobs.key_batch_norm == "shuffled",
        )
        self.queue = _queue(knobs, context)
        self.class_means = ClassMeans(knobs.projection_width, classes=self.classes)
        weight = effective_number_weights(context.tail, knobs.effective_number_beta)
        self.register_buffer("class_weight", weight, persistent=False)

    def forward(self, batch: Batch) -> Losses:
        """Return the terms against the queue as it was before, then enqueue the keys."""
        knobs = self.knobs
        teacher = student = None
        if knobs.distillation_weight > 0.0:
            feature_map = self.network.backbone.feature_map(batch["query"])
            features = feature_map.mean(dim=(2, 3))
            teacher, student = self._patches(batch, feature_map)
        else:
            features = self.network.backbone(batch["query"])
        queries = unit(self.projector(features))
        self.key_encoder.follow((self.network.backbone, self.projector))
        keys = unit(self.key_encoder(batch["key"]))
        memory = self.queue.contents()
        terms = {"contrastive": self._contrast(queries, keys, batch.labels, memory)}
        if teacher is not None and student is not None:
            loss = self_distillation_loss(teacher, student, keys, memory=memory[0], temperature=knobs.temperature)
            terms["distillation"] = knobs.distillation_weight * loss
        self.queue.push(keys, batch.labels)
        self.class_means.update(keys, batch.labels)
        return terms

    def logits(self, images: Tensor) -> Tensor:
        """Return cosines of the images' keys to the mean keys of the classes (B, K)."""
        scores: Tensor = self.class_means(self.key_encoder(images))
        return scores

    def pairs(self, batch: Batch) -> ContrastPairs:
        """Return the queries, keys and queue, or the own key and the queue, with the two kinds of targets."""
        queries = unit(self.projector(self.network.backbone(batch["query"])))
        keys = unit(self.key_encoder(batch["key"]))
        memory, count = self.queue.contents(), len(keys)
        contrast = ContrastBatch.gathered([queries], batch.labels)
        own_view = count + torch.arange(count, device=keys.device)
        if self.knobs.contrast_set == "batch_and_queue":
            contrast = extended(contrast, keys, batch.labels)
        found = ContrastPairs.supervised(
            extended(contrast, *memory), temperature=self.knobs.temperature, own_view=own_view
        )
        if self.knobs.contrast_set == "queue":
            own = (queries * keys).sum(dim=1, keepdim=True)
            cosines = torch.cat([own, found.cosines[:, count:]], dim=1)
            positives = torch.cat([torch.ones_like(found.positives[:, :1]), found.positives[:, count:]], dim=1)
            found = replace(found, cosines=cosines, positives=positives, own_view=torch.zeros_like(own_view))
        alpha = self.knobs.alpha if self.knobs.loss == "decoupled" else None
        place = torch.zeros_like(own_view) if self.knobs.contrast_set == "queue" else own_view
        return replace(found, targets=decoupled_targets(found.positives, place, alpha, alone=self.knobs.alone))

    def trained(self) -> Sequence[nn.Module]:
        """Return all but the classifier."""
        return [self.network.backbone, self.projector, self.key_encoder]

    def _patches(self, batch: Batch, feature_map: Tensor) -> tuple[Tensor, Tensor]:
        """Return the embeddings of regions of the view and of the patches cut there, (B, L, d) each."""
        assert batch.boxes is not None
        with torch.no_grad():
            regions = region_features(feature_map, batch.boxes, stride=self.network.backbone.stride)
            teacher = unit(self.projector(regions.flatten(0, 1))).view(*regions.shape[:2], -1)
        # One pass for each set of patches, so that each has its own BatchNorm statistics (the code).
        crops = batch["patches"].unbind(1)
        student = torch.stack([unit(self.projector(self.network.backbone(crop))) for crop in crops], dim=1)
        return teacher, student

    def _contrast(self, queries: Tensor, keys: Tensor, labels: Tensor, memory: tuple[Tensor, Tensor]) -> Tensor:
        knobs = self.knobs
        contrast = ContrastBatch.gathered([queries], labels)
        if knobs.contrast_set == "queue":
            self.observe(lambda: extended(contrast, *memory).hardest_similarities())
            sums = sums_with_queue(contrast, keys, memory, temperature=knobs.temperature, classes=self.classes)
        else:
            contrast = extended(extended(contrast, gather(keys), gather(labels)), *memory)
            self.observe(contrast.hardest_similarities)
            sums = sums_with_batch(contrast, keys, temperature=knobs.temperature, classes=self.classes)
        alpha = knobs.alpha if knobs.loss == "decoupled" else 1.0 / (1.0 + sums.count)
        return decoupled_loss(sums, alpha, alone=knobs.alone, weight=self.class_weight[labels])


def _zero_last_norms(backbone: nn.Module, *, pretrained: bool) -> None:
    if pretrained:
        raise UsageError("`zero_start` would undo pretrained weights: set it to false, or `weights` to random.")
    lasts = [getattr(block, "bn3", None) or getattr(block, "bn2", None) for block in backbone.modules()]
    norms = [last for last in lasts if isinstance(last, nn.BatchNorm2d)]
    if not norms:
        raise UsageError("`zero_start` has no effect on a backbone without residual blocks: set it to false.")
    if isinstance(backbone, TimmBackbone | ImageTower):  # not all of their blocks have a path around the norm
        raise UsageError("`zero_start` is for ResNet-32 and torchvision's residual networks: set it to false.")
    for norm in norms:
        nn.init.zeros_(norm.weight)


def _views(knobs: DSCLKnobs, image_size: int, *, stride: int) -> tuple[View, ...]:
    views = (View("query", "dscl_query"), View("key", "dscl_key"))
    if knobs.distillation_weight == 0.0:
        return views
    patches = Patches(
        "patches",
        "dscl_patch",
        of="query",
        count=knobs.patches,
        size=knobs.patch_size or max(round(PATCH_SHARE * image_size), stride),
        scale=(knobs.patch_scale_low, knobs.patch_scale_high),
        boxes=cast(Literal["area", "side"], knobs.patch_boxes),
    )
    return (*views, patches)


def _queue(knobs: DSCLKnobs, context: BuildContext) -> KeyQueue | ClassQueue:
    size = knobs.queue_size or min(context.tail.total // 2, LARGEST_QUEUE)
    if knobs.queue_kind == "balanced":
        slots = balanced_slots(context.tail, max(size // context.tail.classes, 1))
        return ClassQueue(slots, knobs.projection_width)
    return KeyQueue(size, knobs.projection_width, classes=context.tail.classes, start=knobs.queue_start)


def _stages(knobs: DSCLKnobs, context: BuildContext) -> Sequence[Stage]:
    first = DecoupledContrast(knobs, context)
    continued = replace(context, start=first.network)
    return [first, LinearClassifier(linear_knobs(knobs), continued, augmentation="dscl_query")]


METHOD = Method(
    name="dscl",
    paper="Xuan and Zhang, Decoupled Contrastive Learning for Long-Tailed Recognition, AAAI 2024 (arXiv:2403.06151)",
    knobs=DSCLKnobs,
    stages=_stages,
)
