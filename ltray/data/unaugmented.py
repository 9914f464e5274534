"""Features of the training set under a frozen network, of its images without augmentation or of augmented passes."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ltray import __version__
from ltray.data.definition import DatasetDefinition
from ltray.data.feature_cache import FeatureCache
from ltray.data.loaders import AugmentedPass, EvaluationImages
from ltray.distributed import from_first, gather, rank, world_size
from ltray.imported import is_dotted_path
from ltray.stage import View

Images = tuple[Any, ...]
"""Which images features are of: "train", "selection", or "augmented", a policy and the number of the pass."""


class UnaugmentedTrainingSet:
    """Labels and features of the training set in its order.

    Args:
        labels: All training labels (N,), on the device.
        class_names: Names of the classes in label order (K).
        definition: The data set's; size and normalisation of its views are part of what features are kept under.
        images: Opens the training images; every worker reads its part.
        selection: Opens the images on which models are compared.
        augmented: Opens an augmented pass over the training images, from a view and the number of the pass.
        digest: Of the data set.
        cache: The folder of features for other processes; None: features are kept only in memory.
    """

    def __init__(
        self,
        labels: Tensor,
        *,
        class_names: Sequence[str],
        definition: DatasetDefinition,
        images: Callable[[], EvaluationImages],
        selection: Callable[[], EvaluationImages],
        augmented: Callable[[View, int], AugmentedPass],
        digest: str,
        cache: FeatureCache | None,
    ) -> None:
        self._labels = labels
        self.class_names = class_names
        self._definition = definition
        self._data_digest = digest
        self._cache = cache
        self._open = {"train": images, "selection": selection}
        self._augmented = augmented
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
        return self._last("train", network)

    def selection_features(self, network: nn.Module) -> tuple[Tensor, Tensor]:
        """Return features (M, d) and labels (M,) of the images on which models are compared."""
        return self._last("selection", network), self._open["selection"]().labels

    def augmented_features(self, network: nn.Module, view: View, number: int) -> Tensor:
        """Return features (N, d) of an augmented pass over the training set; not kept in memory here.

        Args:
            network: As in `features`.
            view: Its augmentation.
            number: Number of the pass, from 0; equal passes of all runs have the same draws.
        """
        backbone = getattr(network, "backbone", network)
        return self._kept(("augmented", view, number), backbone, _digest(backbone))

    def file(self, network: nn.Module, augmented: tuple[View, int] | None = None) -> Path | None:
        """Return the file of the features of the training set, or of an augmented pass; None where none is kept."""
        backbone = getattr(network, "backbone", network)
        images = ("train",) if augmented is None else ("augmented", *augmented)
        if self._cache is None or not _has_key(images):
            return None
        return self._cache.path(self._key(images, backbone, _digest(backbone)))

    def _last(self, which: str, network: nn.Module) -> Tensor:
        backbone = getattr(network, "backbone", network)
        digest = _digest(backbone)
        known = self._known.get(which)
        if known is None or known[0] != digest:
            known = self._known[which] = digest, self._kept((which,), backbone, digest)
        return known[1]

    def _kept(self, images: Images, backbone: nn.Module, digest: str) -> Tensor:
        """Return features from the cache, or compute and keep them; only rank 0 reads the disk."""
        if self._cache is None or not _has_key(images):
            return self._computed(images, backbone)
        key = self._key(images, backbone, digest)
        with self._cache.computing(key) if rank() == 0 else nullcontext():
            found = self._cache.load(key) if rank() == 0 else None
            shape = from_first(torch.tensor(found.shape if found is not None else (0, 0), device=self._labels.device))
            if not shape.any():
                features = self._computed(images, backbone)
                if rank() == 0:
                    self._cache.keep(key, features)
                return features
        if found is None:
            found = torch.empty(*shape.tolist())
        return from_first(found.to(self._labels.device))

    def _key(self, images: Images, backbone: nn.Module, digest: str) -> str:
        definition = self._definition
        view: tuple[Any, ...] = (definition.image_size, definition.mean, definition.std)
        which = images[0]
        if which == "augmented":
            which, view = (which, images[1].augmentation, images[2], __version__), (*view, definition.flip)
        world = (self._data_digest, which, view, torch.__version__, self._labels.device.type)
        # The network's text contains properties that its weights do not contain: strides, groups.
        return hashlib.sha256(repr((digest, repr(backbone), world)).encode()).hexdigest()

    @torch.no_grad()
    def _computed(self, images: Images, backbone: nn.Module) -> Tensor:
        with _evaluating(backbone):
            if images[0] == "augmented":
                each = [gather(backbone(batch).float()) for batch in self._augmented(*images[1:])]
                return torch.cat(each)[: len(self._labels)]
            opened = self._open[images[0]]()
            return _whole([backbone(batch).float() for batch, _ in opened], opened.share_sizes())


def _has_key(images: Images) -> bool:
    """Return whether a digest tells these images from others; the code of a policy of another package may change."""
    return images[0] != "augmented" or not is_dotted_path(images[1].augmentation)


@contextmanager
def _evaluating(backbone: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in backbone.modules()]
    backbone.eval()
    yield
    for module, mode in modes:
        module.training = mode


def _whole(parts: list[Tensor], counts: list[int]) -> Tensor:
    """Return the features of all workers from those of this one.

    Args:
        parts: This worker's features.
        counts: Number of each worker's images; they differ by one at most.
    """
    if world_size() == 1:
        return torch.cat(parts)
    # `gather` needs equal shapes, so the short shares are padded.
    padded = torch.cat([*parts, parts[0].new_zeros(max(counts) - sum(map(len, parts)), parts[0].shape[1])])
    shares = gather(padded).view(len(counts), max(counts), -1)
    return torch.cat([share[:count] for share, count in zip(shares, counts, strict=True)])


def _digest(module: nn.Module) -> str:
    found = hashlib.sha256()
    for name, value in module.state_dict().items():
        found.update(name.encode())
        found.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
