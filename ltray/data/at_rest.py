"""The training set without augmentation, and the features a frozen network gives it."""

import hashlib
from collections.abc import Callable

import torch
from torch import Tensor, nn

from ltray.data.loaders import EvaluationImages
from ltray.distributed import gather, world_size


class TrainingSetAtRest:
    """Labels and features of the training set in its own order.

    Args:
        labels: All training labels (N,), on the device.
        images: Opens the training images; every worker takes its part.
        selection: Opens the images that models are compared on.
    """

    def __init__(
        self, labels: Tensor, images: Callable[[], EvaluationImages], selection: Callable[[], EvaluationImages]
    ) -> None:
        self._labels = labels
        self._open = {"train": images, "selection": selection}
        self._known: dict[str, tuple[str, Tensor]] = {}

    @property
    def labels(self) -> Tensor:
        """Labels of the training set (N,), int64, on the device."""
        return self._labels

    def features(self, network: nn.Module) -> Tensor:
        """Return features (N, d) under `network` in evaluation mode, float32, on every worker.

        The last network's features are kept: several stages on one frozen network compute
        them once.

        Args:
            network: Maps images to features; a network with a `backbone` is asked for that.
        """
        return self._features("train", network)

    def selection_features(self, network: nn.Module) -> tuple[Tensor, Tensor]:
        """Return features (M, d) and labels (M,) of the images that models are compared on."""
        return self._features("selection", network), self._open["selection"]().labels

    def _features(self, which: str, network: nn.Module) -> Tensor:
        backbone = getattr(network, "backbone", network)
        digest = _digest(backbone)
        known = self._known.get(which)
        if known is None or known[0] != digest:
            known = self._known[which] = digest, _computed(backbone, self._open[which]())
        return known[1]


@torch.no_grad()
def _computed(backbone: nn.Module, images: EvaluationImages) -> Tensor:
    modes = [(module, module.training) for module in backbone.modules()]
    backbone.eval()
    parts = [backbone(batch).float() for batch, _ in images]
    for module, mode in modes:
        module.training = mode
    if world_size() == 1:
        return torch.cat(parts)
    # Shares differ by one row; `gather` wants equal shapes, so the short ones are padded.
    counts = images.share_sizes()
    padded = torch.cat([*parts, parts[0].new_zeros(max(counts) - sum(map(len, parts)), parts[0].shape[1])])
    shares = gather(padded).view(len(counts), max(counts), -1)
    return torch.cat([share[:count] for share, count in zip(shares, counts, strict=True)])


def _digest(module: nn.Module) -> str:
    found = hashlib.sha256()
    for name, value in module.state_dict().items():
        found.update(name.encode())
        found.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
