"""The views of a stage, created from the images of a batch on their device."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ltray.data.definition import DatasetDefinition
from ltray.data.pools import Cuts
from ltray.data.transforms import counter_rng, policies
from ltray.data.transforms.geometry import ResizedCrop
from ltray.data.transforms.pixels import mirror
from ltray.errors import UsageError
from ltray.stage import Patches, View

Made = tuple[dict[str, Tensor], Tensor | None]
"""Views by name, and the boxes of the patches among them (B, L, 4)."""


@dataclass(frozen=True)
class EpochPosition:
    """The position of a batch, which determines all its random numbers.

    Attributes:
        epoch: From 0.
        positions: Positions of its images in the epoch's order (B,), so that a repeated image gets other random
            numbers.
    """

    epoch: int
    positions: Tensor


class ViewMaker:
    """Creates the views of a stage.

    Args:
        views: The views that the stage declares; patches are crops of one of the others.
        definition: Image size, normalisation, flip.
        seed: The stage's seed.

    Raises:
        UsageError: An unknown policy, or patches of a view that does not exist.
    """

    def __init__(self, views: Sequence[View], definition: DatasetDefinition, seed: int) -> None:
        self.views = views
        self.seed = seed
        self.size = definition.image_size
        self._policies = [_policy(view, definition) for view in views]
        self._whole = [index for index, view in enumerate(views) if not isinstance(view, Patches)]
        names = [views[index].name for index in self._whole]
        for view in views:
            if isinstance(view, Patches) and view.of not in names:
                raise UsageError(f"Patches `{view.name}` are taken from `{view.of}`, which is not one of {names}.")

    def of_images(self, images: Tensor, position: EpochPosition) -> Made:
        """Create the views of images of one size.

        Args:
            images: uint8 (B, 1, 3, H, W); of pairs (B, 2, 3, H, W), whose second image is
                the input of the second view.
            position: The position of the batch.
        """
        keys = self._keys(position)
        whole = {
            self.views[index].name: self._at(index, position.epoch).geometric(
                images[:, self._which(index, images)], keys[index]
            )
            for index in self._whole
        }
        return self._finished(whole, keys)

    def cuts(self, positions: Tensor, sizes: Tensor, position: EpochPosition) -> Cuts:
        """Return the input of `of_cuts` for images that differ in size.

        Args:
            positions: The images, (B, 1), of pairs (B, 2).
            sizes: Their heights and widths, (B, 1 or 2, 2).
            position: The position of the batch.
        """
        keys = self._keys(position)
        boxes = [
            self._cut(index, position.epoch).boxes(keys[index], sizes[:, self._which(index, sizes)].flip(1))
            for index in self._whole
        ]
        if positions.shape[1] == 1:
            return Cuts(positions[:, 0], torch.stack(boxes, dim=1))
        return Cuts(positions.flatten(), torch.stack(boxes, dim=1).view(-1, 1, 4))

    def of_cuts(self, cut: Tensor, position: EpochPosition) -> Made:
        """Create the views from crops, uint8 (b, V, 3, S, S), that were requested by `cuts`."""
        keys = self._keys(position)
        parts = cut.view(len(position.positions), len(self._whole), *cut.shape[2:])
        whole = {}
        for number, index in enumerate(self._whole):
            part = parts[:, number].contiguous()
            whole[self.views[index].name] = mirror(part, self._cut(index, position.epoch).mirrored(keys[index]))
        return self._finished(whole, keys)

    def check_cuts(self) -> None:
        """Check that every view can be created of images of different sizes.

        Raises:
            UsageError: One cannot.
        """
        for index in self._whole:
            self._cut(index, 0)

    def _keys(self, position: EpochPosition) -> list[Tensor]:
        return [
            counter_rng.keys(self.seed, position.epoch, index, positions=position.positions)
            for index in range(len(self.views))
        ]

    @staticmethod
    def _which(index: int, images: Tensor) -> int:
        return min(index, images.shape[1] - 1)

    def _at(self, index: int, epoch: int) -> policies.Policy:
        """Return the policy of a view in an epoch."""
        policy, areas = self._policies[index], self.views[index].smallest_areas
        if not areas or not isinstance(policy.cut, ResizedCrop):
            return policy
        return replace(policy, cut=replace(policy.cut, scale=(areas[min(epoch, len(areas) - 1)], 1.0)))

    def _cut(self, index: int, epoch: int) -> ResizedCrop:
        cut = self._at(index, epoch).cut
        if not isinstance(cut, ResizedCrop):
            raise UsageError(f"`{self.views[index].augmentation}` cannot create views of images of different sizes.")
        return cut

    def _finished(self, whole: dict[str, Tensor], keys: list[Tensor]) -> Made:
        made: dict[str, Tensor] = {}
        boxes = None
        for view, policy, key in zip(self.views, self._policies, keys, strict=True):
            if isinstance(view, Patches):
                patches, boxes = policies.patches(
                    whole[view.of], key, count=view.count, size=view.size, scale=view.scale, boxes=view.boxes
                )
                each = counter_rng.child_keys(key, view.count)
                made[view.name] = policy.photometric(patches.flatten(0, 1), each).view_as(patches)
            else:
                made[view.name] = policy.photometric(whole[view.name], key)
        return made, boxes


def check_views(views: Sequence[View], definition: DatasetDefinition) -> None:
    """Check before a launch that the views can be created; no image is read.

    Raises:
        UsageError: An unknown policy, or one that cannot create views of the data set's images.
    """
    made = ViewMaker(views, definition, seed=0)
    if not definition.storage.square:
        made.check_cuts()


def _policy(view: View, definition: DatasetDefinition) -> policies.Policy:
    return policies.policy(
        view.augmentation,
        image_size=view.size if isinstance(view, Patches) else definition.image_size,
        mean=definition.mean,
        std=definition.std,
        flip=definition.flip,
    )
