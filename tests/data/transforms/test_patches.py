"""Patches of a view and their boxes have the distributions of DSCL's code and of its Algorithm 1."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ltray.data.transforms.counter_rng import keys
from ltray.data.transforms.geometry import random_boxes
from ltray.data.transforms.patches import BOXES, patches, side_boxes
from ltray.errors import UsageError

IMAGES = torch.arange(3 * 3 * 32 * 32).view(3, 3, 32, 32).to(torch.uint8)
CASES = ["default", "s005_07", "s03_06", "s1_1", "small32"]


def many_keys(count: int) -> Tensor:
    return keys(0, positions=torch.arange(count))


@pytest.mark.parametrize("case", CASES)
def test_area_boxes_have_the_official_statistics(case: str, golden: Callable[[str], dict[str, np.ndarray]]) -> None:
    arrays = golden("dscl_boxes")
    size, scale = int(arrays[f"{case}/size"]), arrays[f"{case}/scale"]
    n = 20_000
    limits = torch.tensor([size, size])
    boxes = random_boxes(many_keys(n), limits=limits, scale=(float(scale[0]), float(scale[1]))).double()
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    share, log_ratio = width * height / size**2, (width / height).log()
    free = (size - width).clamp(min=1), (size - height).clamp(min=1)
    stats = arrays[f"{case}/stats"]
    official = float(arrays[f"{case}/N"])
    means = {0: share, 4: log_ratio, 8: height, 9: width, 11: boxes[:, 0] / free[0], 12: boxes[:, 1] / free[1]}
    for place, values in means.items():
        tolerance = 4.5 * float(values.std()) * (1 / n + 1 / official) ** 0.5 + 1e-6
        assert abs(float(values.mean()) - stats[place]) < tolerance, place
    for place, values in {1: share, 5: log_ratio}.items():
        assert float(values.std()) == pytest.approx(stats[place], rel=0.06, abs=1e-9)
    assert float(share.min()) >= stats[2] - 0.01 and float(share.max()) <= stats[3] + 0.01
    assert float((height == size).double().mean()) == pytest.approx(stats[10], abs=0.005)


def test_side_boxes_have_the_statistics_of_algorithm_1(golden: Callable[[str], dict[str, np.ndarray]]) -> None:
    arrays = golden("dscl_boxes")
    n = 20_000
    boxes = side_boxes(many_keys(n), limits=torch.tensor([32, 32]), scale=(0.05, 0.6), ratio=(3 / 4, 4 / 3)).double()
    share = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) / 32**2
    mean, std = float(arrays["paper_alg1/frac_mean"]), float(arrays["paper_alg1/frac_std"])
    assert abs(float(share.mean()) - mean) < 4.5 * std * (2 / n) ** 0.5
    assert float(share.std()) == pytest.approx(std, rel=0.05)
    assert float(boxes.min()) >= 0 and float(boxes.max()) <= 32


@pytest.mark.parametrize("kind", ["area", "side"])
def test_patches_show_what_their_boxes_enclose(kind: str, make_images, to_pil) -> None:
    images = make_images(6, 96)
    cut, boxes = patches(images, keys(3, positions=torch.arange(6)), count=4, size=40, scale=(0.05, 0.6), boxes=kind)
    assert cut.shape == (6, 4, 3, 40, 40) and boxes.shape == (6, 4, 4)
    assert cut.dtype == torch.uint8 and boxes.dtype == torch.float32
    for i, image in enumerate(to_pil(images)):
        for j in range(4):
            x1, y1, x2, y2 = boxes[i, j].tolist()
            outer = (int(np.floor(x1)), int(np.floor(y1)), int(np.ceil(x2)), int(np.ceil(y2)))
            found = np.array(image.crop(outer).resize((40, 40), Image.Resampling.BILINEAR)).astype(int)
            # A difference of one level: PIL may process the columns first.
            assert np.abs(cut[i, j].permute(1, 2, 0).numpy() - found).max() <= 1


def test_every_patch_is_the_complete_view_at_scale_one(make_images) -> None:
    images = make_images(3, 32)
    cut, boxes = patches(images, keys(0, positions=torch.arange(3)), count=2, size=32, scale=(1.0, 1.0))
    assert torch.equal(boxes, torch.tensor([0.0, 0.0, 32.0, 32.0]).expand(3, 2, 4))
    assert torch.equal(cut, images[:, None].expand(-1, 2, -1, -1, -1))


@pytest.mark.parametrize("kind", ["area", "side"])
def test_patches_do_not_depend_on_the_batch(kind: str, make_images) -> None:
    images = make_images(10, 48)
    sample_keys = keys(4, positions=torch.arange(10))
    arguments = dict(count=3, size=20, scale=(0.05, 0.6), boxes=kind)
    cut, boxes = patches(images, sample_keys, **arguments)
    rows = torch.tensor([7, 2, 9])
    part, part_boxes = patches(images[rows], sample_keys[rows], **arguments)
    assert torch.equal(part, cut[rows]) and torch.equal(part_boxes, boxes[rows])


def test_patches_of_an_image_differ() -> None:
    images = torch.zeros(100, 3, 64, 64, dtype=torch.uint8)
    _, boxes = patches(images, many_keys(100), count=5, size=8, scale=(0.05, 0.6))
    assert float((boxes[:, 0] == boxes[:, 1]).all(1).float().mean()) < 0.05


@pytest.mark.parametrize("kind", BOXES)
def test_every_kind_of_boxes_is_within_the_view(kind: str) -> None:
    cut, boxes = patches(IMAGES, many_keys(3), count=4, size=8, scale=(0.1, 0.5), boxes=kind)
    assert cut.shape == (3, 4, 3, 8, 8) and boxes.dtype == torch.float32
    assert boxes.min() >= 0 and boxes.max() <= 32 and (boxes[..., 2:] > boxes[..., :2]).all()


def test_unknown_kind_of_boxes_is_refused() -> None:
    with pytest.raises(UsageError, match="'sides' is not a way of drawing boxes. Did you mean `side`"):
        patches(IMAGES, many_keys(3), count=4, size=8, scale=(0.1, 0.5), boxes="sides")
