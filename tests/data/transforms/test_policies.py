"""Policies: names, shapes, normalisation, and views that do not depend on the batch."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ltray.data.transforms.counter_rng import keys
from ltray.data.transforms.geometry import Mirror
from ltray.data.transforms.policies import POLICIES, Policy, evaluation, patches, policy
from ltray.errors import UsageError
from ltray.long_tail import LongTail
from ltray.testing.contract import small_experiment
from tests.other_package import other_package

__all__ = ["other_package"]
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
SIZES = (32, 96)


def build(name: str, size: int, *, flip: bool = True) -> Policy:
    return policy(name, image_size=size, mean=MEAN, std=STD, flip=flip)


def view(made: Policy, images: Tensor, sample_keys: Tensor) -> Tensor:
    return made.photometric(made.geometric(images, sample_keys), sample_keys)


def test_policies_are_complete() -> None:
    assert set(POLICIES) == {
        *("standard", "autoaugment_cutout", "sim", "sim_wide", "sim_blur", "rand", "randcls", "randclsstack"),
        *("rescom", "paco_query", "paco_key", "gpaco_key", "gpaco_stack", "bcl_classify"),
        *("dscl_query", "dscl_key", "dscl_patch", "crop_flip", "minimalist"),
    }


def test_unknown_policy_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="`paco_querry` is not an augmentation policy. Did you mean `paco_query`?"):
        build("paco_querry", 32)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", POLICIES)
def test_views_have_the_right_shape_and_type(name: str, size: int, make_images: Callable[[int, int], Tensor]) -> None:
    images = make_images(16, size)
    before = images.clone()
    made = build(name, size)
    sample_keys = keys(0, positions=torch.arange(16))
    half = made.geometric(images, sample_keys)
    assert half.dtype == torch.uint8 and half.shape == images.shape
    half_before = half.clone()
    complete = made.photometric(half, sample_keys)
    assert complete.dtype == torch.float32 and complete.shape == images.shape
    levels = (complete * torch.tensor(STD).view(3, 1, 1) + torch.tensor(MEAN).view(3, 1, 1)) * 255
    assert torch.allclose(levels, levels.round(), atol=1e-3)
    assert float(levels.min()) > -1e-3 and float(levels.max()) < 255.001
    assert torch.equal(images, before) and torch.equal(half, half_before)  # nothing changed in place


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", POLICIES)
def test_views_of_a_sample_do_not_depend_on_the_batch(
    name: str, size: int, make_images: Callable[[int, int], Tensor]
) -> None:
    """The views are bit-equal, so that N workers get the views of one worker."""
    images, made = make_images(24, size), build(name, size)
    positions = torch.arange(24) * 7
    complete = view(made, images, keys(1, 2, positions=positions))
    order = torch.randperm(24, generator=torch.Generator().manual_seed(0))
    for rows in (order, *order.split([1, 7, 16])):
        assert torch.equal(view(made, images[rows], keys(1, 2, positions=positions[rows])), complete[rows])


@pytest.mark.parametrize("name", POLICIES)
def test_views_and_epochs_differ(name: str, make_images: Callable[[int, int], Tensor]) -> None:
    images, made = make_images(64, 32), build(name, 32)
    positions = torch.arange(64)
    epochs = [view(made, images, keys(0, epoch, 0, positions=positions)) for epoch in range(3)]
    epochs.append(view(made, images, keys(0, 0, 1, positions=positions)))  # epoch 0, another view
    for i, first in enumerate(epochs):
        for second in epochs[:i]:
            same = (first == second).flatten(1).all(1).float().mean()
            assert float(same) < 0.2  # some samples draw the same few pixels of padding or no change


@pytest.mark.parametrize("name", sorted(set(POLICIES) - {"dscl_patch", "minimalist"}))
def test_images_are_mirrored_only_with_flip(name: str) -> None:
    # The levels increase to the right: they still increase in a crop, and decrease in a mirror image.
    ramp = torch.arange(32, dtype=torch.uint8).mul(8).expand(400, 3, 32, 32).contiguous()
    sample_keys = keys(0, positions=torch.arange(400))
    for flip, low, high in ((False, 0.0, 0.0), (True, 0.4, 0.6)):
        half = build(name, 32, flip=flip).geometric(ramp, sample_keys)
        falls = half[:, 0, 16, 20] < half[:, 0, 16, 12]
        assert low <= float(falls.float().mean()) <= high


def test_patches_are_mirrored_only_in_the_photometric_half() -> None:
    ramp = torch.arange(32, dtype=torch.uint8).mul(8).expand(400, 3, 32, 32).contiguous()
    sample_keys = keys(0, positions=torch.arange(400))
    for flip, low, high in ((False, 0.0, 0.0), (True, 0.4, 0.6)):
        made = build("dscl_patch", 32, flip=flip)
        assert any(isinstance(operation, Mirror) for operation in made.operations) == flip
        assert torch.equal(made.geometric(ramp, sample_keys), ramp)
        complete = made.photometric(ramp, sample_keys)
        falls = complete[:, 0, 16, 28] < complete[:, 0, 16, 4]
        assert low <= float(falls.float().mean()) <= high


def test_larger_stored_images_are_cut_to_the_view(make_images: Callable[[int, int], Tensor]) -> None:
    sample_keys = keys(0, positions=torch.arange(4))
    for name in ("standard", "sim"):
        assert build(name, 32).geometric(make_images(4, 48), sample_keys).shape == (4, 3, 32, 32)
    wide = make_images(4, 120)[:, :, :90]
    assert build("rescom", 96).geometric(wide, sample_keys).shape == (4, 3, 96, 96)


def test_images_too_small_for_a_crop_are_refused(make_images: Callable[[int, int], Tensor]) -> None:
    with pytest.raises(UsageError, match="at least 24 pixels a side, but got 16 x 16"):
        build("standard", 32).geometric(make_images(2, 16), keys(0, positions=torch.arange(2)))


def test_evaluation_only_normalises(make_images: Callable[[int, int], Tensor]) -> None:
    images = make_images(5, 32)
    found = evaluation(images, image_size=32, mean=MEAN, std=STD)
    expected = (images.double() / 255 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    assert torch.allclose(found.double(), expected, atol=1e-6)
    with pytest.raises(UsageError, match="must have 64 x 64 pixels, but got 32 x 32"):
        evaluation(images, image_size=64, mean=MEAN, std=STD)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", POLICIES)
def test_gpu_makes_the_same_views(name: str, size: int, make_images: Callable[[int, int], Tensor]) -> None:
    """The views are nearly bit-equal: the sum of a filter may round a tie differently."""
    images, made = make_images(32, size), build(name, size)
    sample_keys = keys(0, positions=torch.arange(32))
    here = view(made, images, sample_keys)
    there = view(made, images.cuda(), sample_keys.cuda()).cpu()
    differing = ((here - there).abs() > 1e-5).float().mean()
    assert float(differing) < 2e-3
    half = made.geometric(images, sample_keys)
    cut, boxes = patches(half, sample_keys, count=3, size=16, scale=(0.05, 0.6))
    cut_there, boxes_there = patches(half.cuda(), sample_keys, count=3, size=16, scale=(0.05, 0.6))
    assert torch.equal(boxes, boxes_there.cpu())
    assert int((cut.int() - cut_there.cpu().int()).abs().max()) <= 1


@pytest.mark.parametrize(
    ("name", "size", "level"), [("INVERTED", 8, 235.0), ("BY_SIZE", 8, 235.0), ("BY_SIZE", 80, 20.0)]
)
def test_policy_of_another_package_is_used_by_its_dotted_path(
    other_package: str, name: str, size: int, level: float
) -> None:
    found = policy(f"{other_package}.policies:{name}", image_size=size, mean=(0.0,) * 3, std=(1 / 255,) * 3)
    images, keys = torch.full((2, 3, size, size), 20, dtype=torch.uint8), torch.arange(2)
    made = found.photometric(found.geometric(images, keys), keys)
    torch.testing.assert_close(made, torch.full_like(made, level))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("otherpackage.policies:THREE", "is an object of the type `tuple`, but must be a PolicyTemplate, or a pair"),
        ("otherpackage.policies:INVERTD", "Did you mean `INVERTED`"),
        ("otherpackage.policies.INVERTED", "A policy of another package is given by its dotted path"),
        ("standrd", "`standrd` is not an augmentation policy. Did you mean `standard`"),
    ],
)
def test_invalid_policy_is_refused(other_package: str, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        policy(name, image_size=8, mean=(0.5,) * 3, std=(0.5,) * 3)


def test_baselines_accept_a_dotted_policy(other_package: str) -> None:
    path = f"{other_package}.policies:INVERTED"
    for method in ("cross_entropy", "focal", "ldam", "mixup", "class_balanced", "ride"):
        experiment = small_experiment({"methods": [method], f"{method}.augmentation": path})
        stages = experiment.stages(LongTail((8, 4, 2)))
        assert [view.augmentation for view in stages[0].views] == [path]
