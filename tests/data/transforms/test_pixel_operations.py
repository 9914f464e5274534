"""Each operation with fixed parameters equals that of PIL, or of torchvision on PIL images.

Each is tested twice: tensor operations on float32 levels, and compiled loops on bytes.
"""

from collections.abc import Callable

import pytest
import torch
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from torch import Tensor
from torchvision.transforms import functional as reference
from torchvision.transforms.v2 import functional as reference_v2

from ltray.data.transforms import tone
from ltray.data.transforms.affine import Sampling, identity, rotation, warp
from ltray.data.transforms.blur import blur
from ltray.data.transforms.colour import Grayscale, turn_hue
from ltray.data.transforms.counter_rng import keys
from ltray.data.transforms.resize import resize_each, resize_small, resize_together

COUNT = 60
FACTORS = torch.cat([torch.tensor([0.0, 1.0]), torch.linspace(0.05, 1.9, COUNT - 2)])
MAGNITUDES = torch.linspace(-1.0, 1.0, COUNT, dtype=torch.float64)
GRAY = (128, 128, 128)
FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


KINDS = {"tensors": torch.float32, "loops": torch.uint8}


@pytest.fixture(params=[(size, kind) for kind in KINDS for size in (32, 31)], ids=lambda p: f"{p[0]}-{p[1]}")
def levels(make_images: Callable[[int, int], Tensor], request: pytest.FixtureRequest) -> Tensor:
    size, kind = request.param
    images = make_images(COUNT, size)
    images[3] = 77  # one image of a single colour
    images[4, 1] = 200  # and one constant channel
    return images.to(KINDS[kind])


@pytest.fixture
def expected(
    levels: Tensor,
    to_pil: Callable[[Tensor], list[Image.Image]],
    from_pil: Callable[[list[Image.Image]], Tensor],
) -> Callable[[Callable[[Image.Image, int], Image.Image]], Tensor]:
    """Apply change(image, its index) to the images with PIL."""
    images = to_pil(levels.to(torch.uint8))
    return lambda change: from_pil([change(image, i) for i, image in enumerate(images)])


ENHANCERS = [ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color]


@pytest.mark.parametrize("kind", [tone.BRIGHTNESS, tone.CONTRAST, tone.SATURATION])
def test_adjustments_equal_pil(kind: int, levels, expected) -> None:
    changed = tone.adjust(levels.clone(), torch.full((COUNT,), kind), FACTORS)
    assert torch.equal(changed.float(), expected(lambda image, i: ENHANCERS[kind](image).enhance(float(FACTORS[i]))))


def test_mixed_adjustments_equal_single_ones(levels) -> None:
    kinds = torch.arange(COUNT) % 3
    mixed = tone.adjust(levels.clone(), kinds, FACTORS)
    for kind in range(3):
        single = tone.adjust(levels.clone(), torch.full((COUNT,), kind), FACTORS)
        assert torch.equal(mixed[kinds == kind], single[kinds == kind])


def test_sharpness_equals_pil(levels, expected) -> None:
    changed = tone.sharpness(levels.clone(), FACTORS)
    assert torch.equal(
        changed.float(), expected(lambda image, i: ImageEnhance.Sharpness(image).enhance(float(FACTORS[i])))
    )


def test_posterize_equals_pil(levels, expected) -> None:
    bits = torch.arange(COUNT) % 8 + 1
    changed = tone.posterize(levels.clone(), bits.double())
    assert torch.equal(changed.float(), expected(lambda image, i: ImageOps.posterize(image, int(bits[i]))))


def test_solarize_equals_pil(levels, expected) -> None:
    thresholds = torch.linspace(0, 256, COUNT, dtype=torch.float64)
    changed = tone.solarize(levels.clone(), thresholds)
    assert torch.equal(changed.float(), expected(lambda image, i: ImageOps.solarize(image, float(thresholds[i]))))


@pytest.mark.parametrize("kind", KINDS.values())
def test_solarize_add_brightens_dark_levels_only(kind: torch.dtype) -> None:
    levels = torch.arange(256.0).view(1, 1, 16, 16).repeat(2, 3, 1, 1).to(kind)
    changed = tone.solarize_add(levels, torch.tensor([110.0, 128.0])).float()
    for addition, image in zip((110, 128), changed, strict=True):
        table = torch.tensor([min(255.0, v + addition) if v < 128 else v for v in range(256)])
        assert torch.equal(image[0].flatten(), table)


@pytest.mark.parametrize("name", ["invert", "autocontrast", "equalize"])
def test_fixed_operations_equal_pil(name: str, levels, expected) -> None:
    changed = getattr(tone, name)(levels.clone())
    assert torch.equal(changed.float(), expected(lambda image, i: getattr(ImageOps, name)(image)))


def test_equalize_and_autocontrast_over_all_gaps(to_pil, from_pil) -> None:
    # Few distant levels, many close levels, and a channel in which the last level is the most frequent.
    generator = torch.Generator().manual_seed(0)
    images = torch.stack([torch.randint(low, high, (3, 16, 16), generator=generator) for low in (0, 7, 250) for high in
                          (251, 256)]).to(torch.uint8)  # fmt: skip
    images[1].clamp_(max=9)
    for name in ("autocontrast", "equalize"):
        change = getattr(ImageOps, name)
        found = from_pil([change(image) for image in to_pil(images)])
        for kind in KINDS.values():
            assert torch.equal(getattr(tone, name)(images.to(kind, copy=True)).float(), found)


def test_luminance_equals_pil(levels, expected) -> None:
    gray = Grayscale(1.0)(levels.clone(), keys(0, positions=torch.arange(COUNT)), salt=2)
    assert torch.equal(gray.float(), expected(lambda image, i: reference.rgb_to_grayscale(image, 3)))


def test_hue_equals_torchvision_on_floats(levels) -> None:
    """Equal up to rounding: torchvision's result in [0, 1] is not rounded to integer levels."""
    turns = torch.linspace(-0.5, 0.5, COUNT)
    changed = turn_hue(levels.clone(), turns)
    found = torch.stack([reference_v2.adjust_hue(i / 255, float(t)) * 255 for i, t in zip(levels, turns, strict=True)])
    assert float((changed - found).abs().max()) <= 0.51


def test_hue_is_near_pil(levels, expected) -> None:
    """PIL rounds hue and saturation to 8 bits, which changes a level by about 6 at most for small hue changes."""
    turns = torch.linspace(-0.1, 0.1, COUNT)
    difference = turn_hue(levels.clone(), turns) - expected(
        lambda image, i: reference.adjust_hue(image, float(turns[i]))
    )
    assert float(difference.abs().mean()) < 1.5
    assert float(difference.abs().max()) <= 12


def test_hue_change_of_zero_changes_nothing(levels) -> None:
    assert torch.equal(turn_hue(levels.clone(), torch.zeros(COUNT)), levels)
    assert torch.equal(turn_hue(levels.clone(), torch.ones(COUNT)), levels)


def test_blur_equals_pil(levels, expected) -> None:
    sigma = torch.linspace(0.1, 2.0, COUNT)
    changed = blur(levels.clone(), sigma)
    difference = changed - expected(lambda image, i: image.filter(ImageFilter.GaussianBlur(float(sigma[i]))))
    # PIL uses 24-bit fixed point: a tie may be rounded differently.
    assert float(difference.abs().max()) <= 1
    assert float((difference != 0).float().mean()) < 5e-3


MATRICES = {
    "shear_x": (1, 0.3),
    "shear_y": (3, 0.3),
    "translate_x": (2, 14.5),
    "translate_y": (5, 14.5),
}


@pytest.mark.parametrize("sampling", FILTERS)
@pytest.mark.parametrize("name", MATRICES)
def test_shears_and_shifts_equal_pil(name: str, sampling: Sampling, levels, expected) -> None:
    entry, largest = MATRICES[name]
    matrices = identity(COUNT)
    matrices[:, entry] = MAGNITUDES * largest
    changed = warp(levels.clone(), matrices, sampling=sampling, fill=GRAY)

    def by_pil(image: Image.Image, i: int) -> Image.Image:
        data = tuple(matrices[i].tolist())
        return image.transform(image.size, Image.Transform.AFFINE, data, FILTERS[sampling], fillcolor=GRAY)

    _almost_equal(changed, expected(by_pil), nearest=sampling == "nearest")


@pytest.mark.parametrize("sampling", FILTERS)
def test_rotation_equals_pil(sampling: Sampling, levels, expected) -> None:
    degrees = MAGNITUDES * 45
    size = levels.shape[2]
    changed = warp(levels.clone(), rotation(degrees, height=size, width=size), sampling=sampling, fill=GRAY)
    found = expected(lambda image, i: image.rotate(float(degrees[i]), FILTERS[sampling], fillcolor=GRAY))
    _almost_equal(changed, found, nearest=sampling == "nearest")


def _almost_equal(changed: Tensor, found: Tensor, *, nearest: bool) -> None:
    """Filters may round a tie differently; nearest may choose the other of two equally near pixels."""
    difference = (changed - found).abs()
    if nearest:
        assert float((difference != 0).float().mean()) < 1e-3
    else:
        assert float(difference.max()) <= 1
        assert float((difference != 0).float().mean()) < 0.03


RESIZERS = {"each": resize_each, "together": resize_together, "small": resize_small}


@pytest.mark.parametrize("resizer", RESIZERS)
@pytest.mark.parametrize("size", [32, 40, 9])
def test_crop_and_resize_equal_pil(size: int, resizer: str, levels, expected) -> None:
    generator = torch.Generator().manual_seed(size)
    side = levels.shape[2]
    lengths = torch.randint(1, side + 1, (COUNT, 2), generator=generator)
    corners = (torch.rand(COUNT, 2, generator=generator) * (side + 1 - lengths)).long()
    boxes = torch.cat([corners, corners + lengths], dim=1)
    mirrored = torch.arange(COUNT) % 2 == 0

    def by_pil(image: Image.Image, i: int) -> Image.Image:
        # Rows first: recent versions of PIL choose the order by the amount of work.
        cut = image.crop(tuple(boxes[i].tolist()))
        narrow = cut.resize((size, cut.height), Image.Resampling.BILINEAR)
        complete = narrow.resize((size, size), Image.Resampling.BILINEAR)
        return ImageOps.mirror(complete) if mirrored[i] else complete

    resize = RESIZERS[resizer]
    changed = resize(levels.to(torch.uint8), boxes, size, mirrored=mirrored, owners=torch.arange(COUNT)).float()
    found = expected(by_pil)
    if resizer != "each" or size > side:
        assert torch.equal(changed, found)
    else:  # weights of 16 bits: a tie may be rounded differently
        assert float((changed - found).abs().max()) <= 1
        assert float((changed != found).float().mean()) < 0.02


@pytest.mark.parametrize("resizer", RESIZERS)
def test_boxes_of_one_image_are_cut_by_owner(resizer: str, levels) -> None:
    images, resize = levels.to(torch.uint8), RESIZERS[resizer]
    owners = torch.tensor([5, 5, 0])
    boxes = torch.tensor([[0, 0, 10, 12], [3, 4, 20, 25], [0, 0, 30, 30]])
    upright = torch.zeros(3, dtype=torch.bool)
    found = resize(images, boxes, 16, mirrored=upright, owners=owners)
    assert torch.equal(found, resize(images[owners], boxes, 16, mirrored=upright, owners=torch.arange(3)))
