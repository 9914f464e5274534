"""The compiled kernels for the CPU give exactly the levels of the tensor operations for any device."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ltray.data.transforms.counter_rng import keys, uniform
from ltray.data.transforms.geometry import PaddedCrop, padded_crop
from ltray.data.transforms.pixels import mirror
from ltray.data.transforms.policies import POLICIES, Policy, policy
from ltray.data.transforms.resize import resize_small, resize_together

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
COUNT = 120


def changed(made: Policy, levels: Tensor, sample_keys: Tensor) -> Tensor:
    """Apply the photometric half of a policy without normalisation."""
    return made._changed(levels, sample_keys)


@pytest.mark.parametrize("size", [32, 96])
@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_gives_equal_results_for_bytes_and_floats(
    name: str, size: int, make_images: Callable[[int, int], Tensor]
) -> None:
    count = COUNT if size == 32 else COUNT // 5
    images, sample_keys = make_images(count, size), keys(7, positions=torch.arange(count))
    made = policy(name, image_size=size, mean=MEAN, std=STD)
    by_loops = changed(made, images.clone(), sample_keys)
    by_tensors = changed(made, images.float(), sample_keys)
    assert by_loops.dtype == torch.uint8
    assert torch.equal(by_loops.float(), by_tensors)


def test_padded_crops_of_kernel_and_tensors_are_equal(make_images: Callable[[int, int], Tensor]) -> None:
    images, sample_keys = make_images(COUNT, 32)[:, :, :28], keys(7, positions=torch.arange(COUNT))
    found = PaddedCrop(32, padding=4, flip=True)(images, sample_keys)
    draws = uniform(sample_keys, 3)
    corner = (draws[:, :2] * torch.tensor([5, 9])).long()
    assert torch.equal(found, padded_crop(images, corner, mirrored=draws[:, 2] < 0.5, padding=4, size=32))


def test_resized_crops_of_kernel_and_tensors_are_equal(make_images: Callable[[int, int], Tensor]) -> None:
    images = make_images(COUNT, 48)
    draws = uniform(keys(7, positions=torch.arange(2 * COUNT)), 4)
    corner = (draws[:, :2] * 40).long()
    boxes = torch.cat([corner, corner + 1 + (draws[:, 2:] * (48 - corner)).long().clamp(max=47)], dim=1).clamp(max=48)
    arguments = dict(mirrored=draws[:, 3] < 0.5, owners=torch.arange(COUNT).repeat_interleave(2))
    for size in (32, 7, 64):
        assert torch.equal(
            resize_small(images, boxes, size, **arguments), resize_together(images, boxes, size, **arguments)
        )


def test_only_the_chosen_samples_are_mirrored(make_images: Callable[[int, int], Tensor]) -> None:
    images, chosen = make_images(5, 31), torch.tensor([True, False, False, True, False])
    found = mirror(images.clone(), chosen)
    assert torch.equal(found[chosen], images[chosen].flip(3)) and torch.equal(found[~chosen], images[~chosen])


def test_normalised_views_of_kernel_and_tensors_are_equal(make_images: Callable[[int, int], Tensor]) -> None:
    images, sample_keys = make_images(COUNT, 32), keys(7, positions=torch.arange(COUNT))
    made = policy("standard", image_size=32, mean=MEAN, std=STD)
    centre, spread = (torch.tensor(values).view(3, 1, 1) * 255 for values in (MEAN, STD))
    assert torch.equal(made.photometric(images, sample_keys), (images.float() - centre) * (1.0 / spread))
