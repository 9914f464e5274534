"""The training set without augmentation, and its features under a frozen network."""

import hashlib
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ltray.data.feature_cache import FeatureCache
from ltray.data.loaders import EvaluationImages
from ltray.distributed import from_first, gather, rank, world_size


class UnaugmentedTrainingSet:
    """Labels and features of the training set in its order.

    Args:
        labels: All training labels (N,), on the device.
        class_names: Names of the classes in label order (K).
        images: Opens the training images; every worker reads its part.
        selection: Opens the images on which models are compared.
        digest: Of the data set.
        cache: The folder of features for other processes; None: features are kept only in memory.
    """

    def __init__(
        self,
        labels: Tensor,
        *,
        class_names: Sequence[str],
        images: Callable[[], EvaluationImages],
        selection: Callable[[], EvaluationImages],
        digest: str,
        cache: FeatureCache | None,
    ) -> None:
        self._labels = labels
        self.class_names = class_names
        self._data_digest = digest
        self._cache = cache
        self._open = {"train": images, "selection": selection}
        self._known: dict[str, tuple[str, Tensor]] = {}

    @property
    def labels(self) -> Tensor:
        """Labels of the training set (N,), int64, on the device."""
        return self._labels

    def features(self, network: nn.Module) -> Tensor:
        """Return features (N, d) under `network` in evaluation mode, float32, on every worker.

        The features of the last network are kept in memory, those of others on disk: several stages on
        one frozen network, and all trials that continue from one run, compute them once.

        Args:
            network: Maps images to features; if it has a `backbone`, that is used.
        """
        return self._features("train", network)

    def selection_features(self, network: nn.Module) -> tuple[Tensor, Tensor]:
        """Return features (M, d) and labels (M,) of the images on which models are compared."""
        return self._features("selection", network), self._open["selection"]().labels

    def _features(self, which: str, network: nn.Module) -> Tensor:
        backbone = getattr(network, "backbone", network)
        digest = _digest(backbone)
        known = self._known.get(which)
        if known is None or known[0] != digest:
            known = self._known[which] = digest, self._kept(which, backbone, digest)
        return known[1]

    def _kept(self, which: str, backbone: nn.Module, digest: str) -> Tensor:
        """Return features from the cache, or compute and keep them; only rank 0 reads the disk."""
        images = self._open[which]()
        if self._cache is None:
            return _computed(backbone, images)
        # The network's text contains properties that its weights do not contain: strides, groups.
        view = (images.definition.image_size, images.definition.mean, images.definition.std)
        inputs = (self._data_digest, which, view, torch.__version__, self._labels.device.type)
        key = hashlib.sha256(repr((digest, repr(backbone), inputs)).encode()).hexdigest()
        found = self._cache.load(key) if rank() == 0 else None
        shape = from_first(torch.tensor(found.shape if found is not None else (0, 0), device=self._labels.device))
        if not shape.any():
            features = _computed(backbone, images)
            if rank() == 0:
                self._cache.keep(key, features)
            return features
        if found is None:
            found = torch.empty(*shape.tolist())
        return from_first(found.to(self._labels.device))


@torch.no_grad()
def _computed(backbone: nn.Module, images: EvaluationImages) -> Tensor:
    modes = [(module, module.training) for module in backbone.modules()]
    backbone.eval()
    parts = [backbone(batch).float() for batch, _ in images]
    for module, mode in modes:
        module.training = mode
    if world_size() == 1:
        return torch.cat(parts)
    # Shares differ by one row; `gather` needs equal shapes, so that shorter shares are padded.
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
