"""Features of the evaluated and of the training images, as analyses read them."""

import torch
from torch import Tensor

from ltray.evaluation.subject import Subject
from ltray.parts.contrast import unit


@torch.no_grad()
def evaluated_features(subject: Subject) -> Tensor:
    """Return the unit features of the images of the split (N, d), on the CPU."""
    backbone = subject.trained.stage.network.backbone
    backbone.eval()
    images = subject.images
    parts = []
    with subject.bars.bar("features of the evaluated images", len(images.pool)) as advance:
        for batch, _ in images:
            parts.append(backbone(batch).float().cpu())
            advance(len(batch))
    return unit(torch.cat(parts)[subject.positions])


def training_features(subject: Subject) -> tuple[Tensor, Tensor]:
    """Return the unit features (M, d) of the training images without augmentation and their labels (M,), on the CPU."""
    training = subject.trained.data.without_augmentation()
    features = training.features(subject.trained.stage.network.backbone)
    return unit(features.float().cpu()), training.labels.cpu()
