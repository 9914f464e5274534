"""AutoAugment and RandAugment compared with the same operations done per image with PIL."""

import math
from collections import Counter
from collections.abc import Callable

import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor
from torchvision.transforms import AutoAugment as ReferenceAutoAugment
from torchvision.transforms import AutoAugmentPolicy

from ltray.data.transforms import autoaugment, randaugment
from ltray.data.transforms.autoaugment import SUB_POLICIES, AutoAugment
from ltray.data.transforms.counter_rng import keys, uniform
from ltray.data.transforms.per_sample import Drawn, Render
from ltray.data.transforms.randaugment import RandAugment

REFERENCE_NAMES = {
    **{"ShearY": "shear_y", "TranslateX": "translate_x", "TranslateY": "translate_y", "Rotate": "rotate"},
    **{"Brightness": "brightness", "Color": "colour", "Contrast": "contrast", "Sharpness": "sharpness"},
    **{"Posterize": "posterize", "Solarize": "solarize", "AutoContrast": "autocontrast"},
    **{"Equalize": "equalize", "Invert": "invert"},
}
ENHANCERS = {
    "brightness": ImageEnhance.Brightness,
    "colour": ImageEnhance.Color,
    "contrast": ImageEnhance.Contrast,
    "sharpness": ImageEnhance.Sharpness,
}
AFFINE, BILINEAR, BICUBIC = Image.Transform.AFFINE, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC
NEAREST = Image.Resampling.NEAREST


def in_pil(image: Image.Image, name: str, *, amount: float, resample: Image.Resampling, fill: tuple[int, ...]):
    """Apply one operation; `amount` is in PIL's unit: a factor, degrees, pixels, bits or a threshold."""
    if name in ENHANCERS:
        return ENHANCERS[name](image).enhance(amount)
    if name in ("autocontrast", "equalize", "invert"):
        return getattr(ImageOps, name)(image)
    if name == "posterize":
        return ImageOps.posterize(image, int(amount))
    if name == "solarize":
        return ImageOps.solarize(image, amount)
    if name == "solarize_add":
        return image.point([min(255, v + int(amount)) if v < 128 else v for v in range(256)] * 3)
    if name == "rotate":
        return image.rotate(amount, resample, fillcolor=fill)
    data = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    data[{"shear_x": 1, "translate_x": 2, "shear_y": 3, "translate_y": 5}[name]] = amount
    return image.transform(image.size, AFFINE, data, resample, fillcolor=fill)


def autoaugment_amount(name: str, magnitude: int, sign: int, size: int) -> float:
    m = magnitude / 9
    if name in ENHANCERS:
        return 1 + 0.9 * m * sign
    amounts = {
        "shear_y": 0.3 * m * sign,
        "translate_x": 150 / 331 * m * sign * size,
        "translate_y": 150 / 331 * m * sign * size,
        "rotate": 30 * m,
        "posterize": [8, 8, 7, 7, 6, 6, 5, 5, 4, 4][magnitude],
        "solarize": 256 - 256 * m,
    }
    return amounts.get(name, 0.0)


def test_sub_policies_equal_those_of_torchvision() -> None:
    published = ReferenceAutoAugment(AutoAugmentPolicy.CIFAR10).policies
    assert len(published) == len(SUB_POLICIES)
    for ours, theirs in zip(SUB_POLICIES, published, strict=True):
        for (name, chance, magnitude), (their_name, their_chance, their_magnitude) in zip(ours, theirs, strict=True):
            assert (name, chance) == (REFERENCE_NAMES[their_name], their_chance)
            assert magnitude == their_magnitude or their_magnitude is None


@pytest.mark.parametrize("kind", [torch.float32, torch.uint8])
@pytest.mark.parametrize("size", [32, 48])
def test_autoaugment_equals_the_pil_reference(size: int, kind: torch.dtype, make_images, to_pil, from_pil) -> None:
    images = make_images(400, size)
    sample_keys = keys(0, positions=torch.arange(400))
    found = AutoAugment()(images.to(kind, copy=True), sample_keys, salt=2)
    draws = uniform(sample_keys, 5, salt=2).tolist()
    expected = []
    for image, (which, chance_1, chance_2, side_1, side_2) in zip(to_pil(images), draws, strict=True):
        for step, chance, side in zip(
            SUB_POLICIES[int(25 * which)], (chance_1, chance_2), (side_1, side_2), strict=True
        ):
            name, probability, magnitude = step
            if chance < probability:
                amount = autoaugment_amount(name, magnitude, -1 if side < 0.5 else 1, size)
                resample = BICUBIC if name.startswith("shear") else NEAREST
                image = in_pil(image, name, amount=amount, resample=resample, fill=(128, 128, 128))
        expected.append(image)
    _nearly_all_equal(found, from_pil(expected))


@pytest.mark.parametrize("kind", [torch.float32, torch.uint8])
@pytest.mark.parametrize("size", [32, 64])
def test_randaugment_equals_the_pil_reference(size: int, kind: torch.dtype, make_images, to_pil, from_pil) -> None:
    images = make_images(400, size)
    sample_keys = keys(1, positions=torch.arange(400))
    found = RandAugment(2, 10.0)(images.to(kind, copy=True), sample_keys, salt=4)
    draws = uniform(sample_keys, 10, salt=4).view(400, 2, 5).tolist()
    names = list(randaugment.TABLE)
    expected = []
    for image, turns in zip(to_pil(images), draws, strict=True):
        for which, chance, radius, angle, side in turns:
            if chance < 0.5:
                noise = math.sqrt(-2 * math.log(1 - radius)) * math.cos(2 * math.pi * angle)
                m = min(max(10 + 0.5 * noise, 0), 10) / 10
                name, sign = names[int(15 * which)], -1 if side < 0.5 else 1
                amounts = {
                    **{"shear_x": 0.3 * m * sign, "shear_y": 0.3 * m * sign, "rotate": 30 * m * sign},
                    **{"translate_x": 0.45 * m * sign * size, "translate_y": 0.45 * m * sign * size},
                    **{"posterize": int(4 * m), "solarize": int(256 * m), "solarize_add": int(110 * m)},
                }
                resample = BILINEAR if 2 * side % 1 < 0.5 else BICUBIC
                amount = amounts.get(name, 1.8 * m + 0.1)
                image = in_pil(image, name, amount=amount, resample=resample, fill=(124, 116, 104))
        expected.append(image)
    _nearly_all_equal(found, from_pil(expected))


def _nearly_all_equal(found: Tensor, expected: Tensor) -> None:
    """Filters sometimes round a tie differently, and a following equalize may increase the difference."""
    difference = (found - expected).abs()
    assert float((difference > 0).float().mean()) < 2e-3
    assert float(difference.mean()) < 5e-3
    assert float((difference.flatten(1).amax(1) == 0).float().mean()) > 0.75


@pytest.fixture
def count_operations(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Counter[str]]:
    """Run an operation on blank images with a table that only counts the drawn operations."""

    def run(module: object, operation: AutoAugment | RandAugment, samples: int) -> Counter[str]:
        counts: Counter[str] = Counter()

        def counter(name: str) -> Render:
            def change(levels: Tensor, drawn: Drawn) -> Tensor:
                counts[name] += len(drawn.names)
                return levels

            return change

        monkeypatch.setattr(module, "TABLE", {name: counter(name) for name in module.TABLE})
        operation(torch.zeros(samples, 3, 2, 2), keys(5, positions=torch.arange(samples)), salt=2)
        return counts

    return run


def test_autoaugment_draws_operations_with_the_published_frequencies(count_operations) -> None:
    samples = 50_000
    counts = count_operations(autoaugment, AutoAugment(), samples)
    expected: Counter[str] = Counter()
    for pair in ReferenceAutoAugment(AutoAugmentPolicy.CIFAR10).policies:
        for name, probability, _ in pair:
            expected[REFERENCE_NAMES[name]] += probability / 25
    for name, share in expected.items():
        assert abs(counts[name] - samples * share) < 5 * math.sqrt(samples * share + 1), name
    assert set(counts) == set(expected)


def test_randaugment_draws_operations_uniformly(count_operations) -> None:
    samples = 60_000
    counts = count_operations(randaugment, RandAugment(2, 10.0), samples)
    expected = samples * 2 * 0.5 / 15
    assert len(counts) == 15
    for name, count in counts.items():
        assert abs(count - expected) < 5 * math.sqrt(expected), name


def test_autoaugment_has_the_statistics_of_torchvision(make_images, to_pil, from_pil) -> None:
    """Compare mean and contrast of the augmented images over many draws of the same images."""
    repeats, images = 60, make_images(50, 32)
    ours = AutoAugment()(images.repeat(repeats, 1, 1, 1).float(), keys(2, positions=torch.arange(50 * repeats)), salt=2)
    torch.manual_seed(0)
    reference = ReferenceAutoAugment(AutoAugmentPolicy.CIFAR10, fill=[128.0] * 3)
    theirs = from_pil([reference(image) for _ in range(repeats) for image in to_pil(images)])
    for statistic in (lambda x: x.mean((1, 2, 3)), lambda x: x.std((2, 3)).mean(1)):
        a, b = statistic(ours), statistic(theirs)
        # Independent draws on 3000 images each; 4 deviations, and 1 % for the different implementation.
        tolerance = 4 * float((a.var() / len(a) + b.var() / len(b)) ** 0.5) + 0.01 * float(b.mean())
        assert abs(float(a.mean() - b.mean())) < tolerance
        assert 0.9 < float(a.std() / b.std()) < 1.1
