"""Division of epochs into steps and workers."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ltray.data.sampling import Sampling, epoch_order
from ltray.distributed import rank, world_size
from ltray.errors import UsageError


@dataclass(frozen=True)
class Plan:
    """The division of an epoch into steps and workers.

    Every worker derives the same global order and takes a contiguous slice of each global
    batch, in rank order: the workers together process exactly the images of a single worker.

    Attributes:
        labels: Labels of the positions to train on (n,).
        positions: These positions in the training set (n,).
        sampling: How an epoch is drawn.
        seed: The stage's seed.
        batch: Images per step over all workers, B.
        steps: Full batches per epoch; the remaining images are dropped.
    """

    labels: Tensor
    positions: Tensor
    sampling: Sampling
    seed: int
    batch: int
    steps: int

    @classmethod
    def of(cls, labels: Tensor, selected: Tensor | None, *, sampling: Sampling, seed: int, batch: int) -> "Plan":
        """Plan epochs over the selected positions, or over all.

        Raises:
            UsageError: A batch cannot be divided equally among the workers, or there are no training images.
        """
        workers = world_size()
        if batch % workers:
            raise UsageError(
                f"`batch_size` must be a multiple of the number of workers, but got batch_size={batch}, "
                f"workers={workers}; use {max(batch // workers, 1) * workers}."
            )
        positions = torch.arange(len(labels)) if selected is None else selected.cpu()
        if len(positions) < workers:
            raise UsageError(f"{len(positions)} training images are too few for {workers} workers.")
        labels = labels[positions]
        draws = len(epoch_order(sampling, labels, seed=seed, epoch=0))
        batch = min(batch, draws - draws % workers)
        return cls(labels, positions, sampling, seed, batch, draws // batch)

    @property
    def share(self) -> int:
        """Images of a step on this worker."""
        return self.batch // world_size()

    def epoch_positions(self, first_step: int) -> Tensor:
        """Return this worker's positions in the epoch's order from `first_step` on (steps, share)."""
        positions = torch.arange(self.steps * self.batch).view(self.steps, world_size(), self.share)
        return positions[first_step:, rank()]

    def order(self, epoch: int) -> Tensor:
        """Return the training positions of an epoch over all workers, (draws, 1 or 2)."""
        return self.positions[epoch_order(self.sampling, self.labels, seed=self.seed, epoch=epoch)]


class InOrder(Plan):
    """A plan whose epochs are the training set in its order, followed by its first images up to a full batch."""

    @classmethod
    def of_all(cls, images: int, batch: int) -> "InOrder":
        """Plan passes over a training set.

        Args:
            images: Its number of images.
            batch: Images per step over all workers, a multiple of their number.
        """
        positions = torch.arange(images)
        return cls(positions, positions, Sampling(), 0, batch, -(-images // batch))

    def order(self, epoch: int) -> Tensor:
        """Return the training positions of a pass, (draws, 1)."""
        return (torch.arange(self.steps * self.batch) % len(self.positions))[:, None]
