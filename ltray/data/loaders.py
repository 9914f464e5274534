"""Batches: this worker's part of every epoch; the views are created on the device."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from ltray.data.definition import DatasetDefinition
from ltray.data.plan import InOrder, Plan
from ltray.data.pools import CuttingPool, ImagePool, batches
from ltray.data.transforms import policies
from ltray.data.views import EpochPosition, Made, ViewMaker
from ltray.distributed import rank, world_size
from ltray.stage import Batch, View

EVALUATION_BATCH = 512
CROPPED_BATCH = 64  # images; five crops of each


class ImageLoader:
    """The training batches of a stage that trains on images.

    Args:
        pool: The training images.
        labels: Their labels (N,), on the device.
        plan: Steps and slices.
        views: The views of the stage.
    """

    def __init__(self, pool: ImagePool, labels: Tensor, *, plan: Plan, views: ViewMaker) -> None:
        self.pool = pool
        self.labels = labels
        self.plan = plan
        self.views = views

    @property
    def steps(self) -> int:
        """Steps per epoch."""
        return self.plan.steps

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """Yield this worker's batches of `epoch` from `first_step` on."""
        slots = self.plan.epoch_positions(first_step)
        indices = self.plan.order(epoch)[slots]
        positions = [EpochPosition(epoch, one) for one in slots]
        made = (
            self._cut_out(indices, positions) if isinstance(self.pool, CuttingPool) else self._whole(indices, positions)
        )
        for here, (views, boxes) in zip(indices, made, strict=True):
            indices = here[:, 0].to(self.labels.device)
            yield Batch(views, self.labels[indices], indices, boxes)

    def _whole(self, indices: Tensor, positions: Sequence[EpochPosition]) -> Iterator[Made]:
        each = indices.shape[2]
        streamed = self.pool.stream(indices.flatten(), self.plan.share * each)
        for images, position in zip(streamed, positions, strict=True):
            yield self.views.of_images(images.view(-1, each, *images.shape[1:]), position)

    def _cut_out(self, indices: Tensor, positions: Sequence[EpochPosition]) -> Iterator[Made]:
        assert isinstance(self.pool, CuttingPool)
        sizes = self.pool.sizes
        wanted = (
            self.views.cuts(here, sizes[here], position) for here, position in zip(indices, positions, strict=True)
        )
        for cut, position in zip(self.pool.cut(wanted, self.views.size), positions, strict=True):
            yield self.views.of_cuts(cut, position)


class AugmentedPass:
    """Each training image once over all workers, in the order of the training set, augmented.

    Args:
        pool: The training images.
        labels: Their labels (N,), on the device.
        views: One view.
        number: Number of the pass, from 0: which draws the augmentation uses.
    """

    def __init__(self, pool: ImagePool, labels: Tensor, *, views: ViewMaker, number: int) -> None:
        (self._view,) = views.views
        share = min(EVALUATION_BATCH, -(-len(labels) // world_size()))
        plan = InOrder.of_all(len(labels), share * world_size())
        self._loader = ImageLoader(pool, labels, plan=plan, views=views)
        self._number = number

    def __iter__(self) -> Iterator[Tensor]:
        """Yield this worker's images (b, 3, H, W) of each step; all workers' steps are the set and its first images."""
        for batch in self._loader.epoch(self._number):
            yield batch[self._view.name]


class FeatureLoader:
    """The training batches of a stage that trains on features of a frozen network.

    Args:
        features: Returns the features of the training set (N, d), on the device, that an epoch has.
        labels: Their labels (N,), on the device.
        plan: Steps and slices.
        views: The stage's names for them: one view, or two with "pairs".
    """

    def __init__(self, features: Callable[[int], Tensor], labels: Tensor, *, plan: Plan, views: Sequence[View]) -> None:
        self.features = features
        self.labels = labels
        self.plan = plan
        self.views = views

    @property
    def steps(self) -> int:
        """Steps per epoch."""
        return self.plan.steps

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """Yield this worker's batches of `epoch` from `first_step` on."""
        order = self.plan.order(epoch)[self.plan.epoch_positions(first_step)].to(self.labels.device)
        features = self.features(epoch)
        for rows in order:
            each = rows.unbind(dim=1)
            views = {view.name: features[indices] for view, indices in zip(self.views, each, strict=True)}
            yield Batch(views, self.labels[each[0]], each[0])


class EvaluationImages:
    """All images of a split, each once over all workers, without augmentation.

    Args:
        pool: The split's images.
        labels: Their labels (n,), on the device.
        definition: Image size and normalisation.
    """

    def __init__(self, pool: ImagePool, labels: Tensor, definition: DatasetDefinition) -> None:
        self.pool = pool
        self.labels = labels
        self.definition = definition

    def five_crops(self, margin: int) -> "FiveCropImages":
        """Return the same images as five crops each; see `ltray.data.transforms.five_crops`."""
        return FiveCropImages(self, margin)

    def share_sizes(self) -> list[int]:
        """Return the number of images of each worker; they differ by at most one."""
        count, workers = len(self.pool), world_size()
        return [count * (worker + 1) // workers - count * worker // workers for worker in range(workers)]

    def share(self) -> Tensor:
        """Return this worker's positions, a contiguous part."""
        sizes = self.share_sizes()
        start = sum(sizes[: rank()])
        return torch.arange(start, start + sizes[rank()])

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (images (B, 3, H, W), labels (B,)) of this worker's share."""
        share = self.share()
        streamed = self.pool.stream(share, EVALUATION_BATCH)
        for positions, pixels in zip(batches(share, EVALUATION_BATCH), streamed, strict=True):
            images = policies.evaluation(
                pixels, image_size=self.definition.image_size, mean=self.definition.mean, std=self.definition.std
            )
            yield images, self.labels[positions.to(self.labels.device)]


class FiveCropImages:
    """Each image of a split once over all workers, as five crops.

    Args:
        images: The images.
        margin: Pixels by which the shorter side exceeds a crop.
    """

    def __init__(self, images: EvaluationImages, margin: int) -> None:
        self.images = images
        self.margin = margin

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (crops (B, 5, 3, H, W), labels (B,)) of this worker's share."""
        images, definition, share = self.images, self.images.definition, self.images.share()
        size = definition.image_size
        streamed = images.pool.stream_crops(share, CROPPED_BATCH, size=size, margin=self.margin)
        for positions, pixels in zip(batches(share, CROPPED_BATCH), streamed, strict=True):
            crops = policies.evaluation(pixels.flatten(0, 1), image_size=size, mean=definition.mean, std=definition.std)
            yield crops.view(pixels.shape), images.labels[positions.to(images.labels.device)]


class EvaluationFeatures:
    """The features of each image of a split once over all workers.

    Args:
        features: Of all images (n, d), on the device.
        images: The images, with their labels.
    """

    def __init__(self, features: Tensor, images: EvaluationImages) -> None:
        self._features = features
        self._images = images

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (features (B, d), labels (B,)) of this worker's share."""
        for positions in batches(self._images.share(), EVALUATION_BATCH):
            here = positions.to(self._features.device)
            yield self._features[here], self._images.labels[here]
