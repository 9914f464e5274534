"""Random crops, flips, jitter, grayscale, blur and Cutout compared with torchvision's distributions."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms import functional as reference

from ltray.data.transforms.blur import GaussianBlur
from ltray.data.transforms.colour import ColourJitter, Grayscale
from ltray.data.transforms.counter_rng import keys, uniform
from ltray.data.transforms.cutout import Cutout, cutout_mask
from ltray.data.transforms.geometry import PaddedCrop, ResizedCrop, random_boxes
from ltray.data.transforms.pixels import Operation
from ltray.data.transforms.policies import policy

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)


def sample_keys(count: int, seed: int = 0) -> Tensor:
    return keys(seed, positions=torch.arange(count))


def chi_square_is_plausible(counts: Tensor) -> bool:
    """Return whether the counts are plausibly uniform: chi-square is within 5 deviations of its mean."""
    expected = counts.sum() / counts.numel()
    freedom = counts.numel() - 1
    return abs(float(((counts - expected) ** 2 / expected).sum()) - freedom) < 5 * math.sqrt(2 * freedom)


def test_padded_crops_have_uniform_offsets_and_half_are_mirrored() -> None:
    n = 8100
    place = torch.arange(32, dtype=torch.uint8) + 1
    image = torch.stack([place[:, None].expand(32, 32), place.expand(32, 32), torch.full((32, 32), 9)]).to(torch.uint8)
    cut = PaddedCrop(32, padding=4, flip=True)(image.expand(n, 3, 32, 32).contiguous(), sample_keys(n))
    mirrored = cut[:, 1, 16, 16] > cut[:, 1, 16, 17]
    assert abs(float(mirrored.float().mean()) - 0.5) < 4 * 0.5 / n**0.5
    upright = torch.where(mirrored[:, None, None, None], cut.flip(3), cut)
    rows, columns = (upright[:, c, 16, 16].long() - 13 for c in (0, 1))  # offsets 0..8 in the padded image
    assert chi_square_is_plausible(torch.bincount(rows * 9 + columns, minlength=81).float())
    padded = torch.nn.functional.pad(image, (4, 4, 4, 4))
    for sample, row, column in zip(upright[:200], rows, columns, strict=False):
        assert torch.equal(sample, padded[:, row : row + 32, column : column + 32])


@pytest.mark.parametrize(
    ("height", "width", "scale"), [(32, 32, (0.2, 1.0)), (160, 224, (0.08, 1.0)), (60, 20, (0.5, 1.0))]
)
def test_boxes_have_the_distribution_of_torchvision(height: int, width: int, scale: tuple[float, float]) -> None:
    n = 4000
    ours = random_boxes(sample_keys(n), limits=torch.tensor([width, height]), scale=scale).double()
    torch.manual_seed(0)
    blank = torch.empty(3, height, width)
    drawn = torch.tensor([RandomResizedCrop.get_params(blank, list(scale), [3 / 4, 4 / 3]) for _ in range(n)]).double()
    theirs = torch.stack([drawn[:, 1], drawn[:, 0], drawn[:, 1] + drawn[:, 3], drawn[:, 0] + drawn[:, 2]], dim=1)
    assert int(ours[:, :2].min()) >= 0 and int(ours[:, 2].max()) <= width and int(ours[:, 3].max()) <= height
    for name, values in {
        "width": lambda b: b[:, 2] - b[:, 0],
        "height": lambda b: b[:, 3] - b[:, 1],
        "area": lambda b: (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1]),
        "left": lambda b: b[:, 0],
        "top": lambda b: b[:, 1],
    }.items():
        a, b = values(ours), values(theirs)
        assert abs(float(a.mean() - b.mean())) <= 4 * float(((a.var() + b.var()) / n) ** 0.5) + 1e-9, name
        grid = torch.linspace(0, float(torch.cat([a, b]).max()), 200, dtype=torch.float64)
        distance = ((a[:, None] <= grid).double().mean(0) - (b[:, None] <= grid).double().mean(0)).abs().max()
        assert float(distance) < 2.0 * math.sqrt(2 / n), name  # Kolmogorov and Smirnov: 1.95 is the 0.1 % point


@pytest.mark.parametrize(("height", "width"), [(30, 300), (300, 30), (100, 120)])
def test_impossible_scale_gives_the_largest_centred_box(height: int, width: int) -> None:
    boxes = random_boxes(sample_keys(5), limits=torch.tensor([width, height]), scale=(4.0, 4.0))
    torch.manual_seed(0)
    top, left, tall, wide = RandomResizedCrop.get_params(torch.empty(3, height, width), [4.0, 4.0], [3 / 4, 4 / 3])
    assert (boxes == torch.tensor([left, top, left + wide, top + tall])).all()


def test_boxes_of_mixed_image_sizes_equal_those_of_single_images() -> None:
    limits = torch.tensor([[32, 32], [100, 40], [20, 60]])
    boxes = random_boxes(sample_keys(3), limits=limits, scale=(0.2, 1.0))
    for i in range(3):
        assert torch.equal(
            boxes[i : i + 1], random_boxes(sample_keys(3)[i : i + 1], limits=limits[i], scale=(0.2, 1.0))
        )


def test_half_of_the_resized_crops_are_mirrored() -> None:
    n = 4000
    ramp = torch.arange(32, dtype=torch.uint8).mul(8).expand(n, 3, 32, 32).contiguous()
    cut = ResizedCrop(32, scale=(0.2, 1.0), flip=True)(ramp, sample_keys(n))
    assert abs(float((cut[:, 0, 0, 0] > cut[:, 0, 0, 31]).float().mean()) - 0.5) < 4 * 0.5 / n**0.5


@pytest.mark.parametrize("kind", [torch.float32, torch.uint8])
@pytest.mark.parametrize("hue", [0.0, 0.1])
def test_jitter_equals_the_pil_reference(hue: float, kind: torch.dtype, make_images, to_pil, from_pil) -> None:
    n = 200
    images, jitter = make_images(n, 32), ColourJitter(0.4, hue=hue, probability=0.8)
    found = jitter(images.to(kind, copy=True), sample_keys(n), salt=2)
    draws = uniform(sample_keys(n), 9, salt=2)
    factors = 0.6 + 0.8 * draws[:, 4:7]
    expected = []
    for i, image in enumerate(to_pil(images)):
        changes = [
            lambda x, f=factors[i]: reference.adjust_brightness(x, float(f[0])),
            lambda x, f=factors[i]: reference.adjust_contrast(x, float(f[1])),
            lambda x, f=factors[i]: reference.adjust_saturation(x, float(f[2])),
            lambda x, t=draws[i, 7]: reference.adjust_hue(x, hue * (2 * float(t) - 1)) if hue else x,
        ]
        for step in draws[i, :4].argsort().tolist() if draws[i, 8] < 0.8 else []:
            image = changes[step](image)
        expected.append(image)
    difference = (found - from_pil(expected)).abs()
    if hue == 0.0:  # factors computed in another order may differ in the last bit
        assert float(difference.max()) <= 1 and float((difference > 0).float().mean()) < 1e-3
    else:  # PIL's hue and saturation have 8 bits
        assert float(difference.mean()) < 1.0
    untouched = draws[:, 8] >= 0.8
    assert torch.equal(found[untouched].float(), images[untouched].float())
    assert abs(float(untouched.float().mean()) - 0.2) < 4 * math.sqrt(0.16 / n)


def test_jitter_orders_are_uniform() -> None:
    draws = uniform(sample_keys(24_000), 4, salt=2)
    code = (draws.argsort(dim=1) * torch.tensor([64, 16, 4, 1])).sum(1)
    counts = code.unique(return_counts=True)[1]
    assert len(counts) == 24 and chi_square_is_plausible(counts.float())


CHANCES: list[tuple[Operation, float]] = [(Grayscale(0.2), 0.2), (GaussianBlur((0.1, 2.0), 0.5), 0.5)]


@pytest.mark.parametrize(("operation", "probability"), CHANCES)
def test_share_of_changed_samples(operation: Operation, probability: float, make_images) -> None:
    n = 3000
    images = make_images(1, 16).float().expand(n, 3, 16, 16)
    changed = operation(images.clone(), sample_keys(n), salt=3)
    share = float((changed != images).flatten(1).any(1).float().mean())
    # A blur of less than about 0.25 pixels changes no level.
    assert probability * 0.9 - 4 * 0.5 / n**0.5 < share < probability + 4 * 0.5 / n**0.5


def test_blur_draws_its_width_uniformly(make_images) -> None:
    n = 4000
    edge = torch.zeros(n, 3, 16, 16)
    edge[..., 8:] = 255.0
    blurred = GaussianBlur((0.1, 2.0), probability=1.0)(edge, sample_keys(n), salt=2)
    slope = blurred[:, 0, 8].diff(dim=1)  # the kernel, whose variance is sigma squared
    place = torch.arange(15.0)
    variance = (slope * (place - 7) ** 2).sum(1) / 255
    sigma = variance.clamp(min=0).sqrt()
    assert abs(float(sigma.mean()) - 1.05) < 0.05
    assert abs(float((sigma < 1.05).float().mean()) - 0.5) < 0.05


def test_cutout_squares_equal_the_official_ones(golden: Callable[[str], dict[str, np.ndarray]]) -> None:
    arrays = golden("eval")
    for seed, mask in zip(arrays["cutout/seeds"], arrays["cutout/masks"], strict=True):
        random = np.random.RandomState(seed)
        row, column = random.randint(32), random.randint(32)
        ours = cutout_mask(torch.tensor([[row, column]]), height=32, width=32, side=16)
        assert np.array_equal(ours[0, 0].numpy(), mask)


def test_cutout_centres_are_uniform_and_holes_are_black() -> None:
    n = 4096
    cut = Cutout(share=0.5)(torch.full((n, 3, 32, 32), 200.0), sample_keys(n), salt=2)
    hole = cut[:, 0] == 0
    assert torch.equal(cut == 0, hole[:, None].expand(-1, 3, -1, -1))
    assert bool((cut[~hole[:, None].expand(-1, 3, -1, -1)] == 200).all())
    area = hole.sum((1, 2))
    assert int(area.min()) >= 64 and int(area.max()) == 256
    for axis in (1, 2):
        inside = hole.any(axis)  # (n, 32): [c - 8, c + 8) clipped
        first, last = inside.int().argmax(1), 31 - inside.flip(1).int().argmax(1)
        centre = torch.where(first > 0, first + 8, last - 7)
        assert chi_square_is_plausible(torch.bincount(centre, minlength=32).float())


def test_cutout_hole_is_minus_mean_over_std_after_normalisation() -> None:
    made = policy("autoaugment_cutout", image_size=32, mean=MEAN, std=STD)
    white = torch.full((50, 3, 32, 32), 255, dtype=torch.uint8)
    views = made.photometric(white, sample_keys(50))
    hole = torch.tensor([-m / s for m, s in zip(MEAN, STD, strict=True)])
    corners_or_holes = (views - hole.view(3, 1, 1)).abs().amax(1) < 1e-5
    assert bool((corners_or_holes.sum((1, 2)) >= 64).all())
