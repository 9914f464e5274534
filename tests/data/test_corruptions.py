"""The common corruptions: properties of all of them, and each one against its definition."""

import colorsys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from ltray.data.corruptions import blurs, digital, noise, weather
from ltray.data.corruptions.corrupt import CORRUPTIONS, corrupt
from ltray.data.corruptions.draws import Draws
from ltray.data.corruptions.severities import CIFAR_C, IMAGENET_C, SEVERITIES, table_for
from ltray.data.corruptions.warps import along_line, bilinear, zoom_matrix, zoomed
from ltray.errors import UsageError
from ltray.parts.corruption_error import ALEXNET

# The authors' constants do not make these stronger from severity to severity: the glass alternates between two
# deviations, elastic maps become local instead of large, and the frost replaces a part of the image.
NOT_BY_ERROR = {"glass_blur", "elastic_transform", "frost"}
NOT_BY_ERROR_WHEN_LARGE = {"fog", "snow"}  # ImageNet-C's fog becomes rougher, its snow sparser, from 2 to 4
BLURS = ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "elastic_transform", "pixelate")


def pictures(count: int, height: int, width: int) -> np.ndarray:
    """Smooth coloured gradients with an edge, like photographs."""
    rows, columns = np.meshgrid(np.linspace(0, 1, height), np.linspace(0, 1, width), indexing="ij")
    each = [np.stack([rows, columns, (rows + n * columns) % 1], axis=-1) for n in range(1, count + 1)]
    levels = 40 + 150 * np.stack(each)
    levels[:, height // 3 : height // 2, width // 4 : width // 2] = 230
    return levels.astype(np.uint8)


def textures(count: int, side: int) -> np.ndarray:
    """Noise with as much contrast at every scale, as photographs have."""
    random = np.random.default_rng(0)
    levels = np.zeros((count, side, side, 3))
    for deviation in (0.5, 1, 2, 4, 8):
        smooth = gaussian_filter(random.normal(size=levels.shape), (0, deviation, deviation, 0), mode="wrap")
        levels += smooth / smooth.std()
    return np.clip(120 + 22 * levels, 0, 255).astype(np.uint8)


def draws(count: int, *, name: str = "x", seed: int = 0) -> Draws:
    return Draws.of(name, np.arange(count), seed=seed)


def test_tables_have_every_corruption_and_severity():
    for table in (CIFAR_C, IMAGENET_C):
        assert list(table) == list(CORRUPTIONS) == list(ALEXNET)
        assert all(len(constants) == SEVERITIES for constants in table.values())
    assert table_for(32)[0] == table_for(64)[0] == "CIFAR-C" and table_for(224)[0] == "ImageNet-C"
    assert [len(factors) for factors in IMAGENET_C["zoom_blur"]] == [11, 16, 11, 13, 11]
    assert IMAGENET_C["zoom_blur"][4][-1] == pytest.approx(1.30) and CIFAR_C["zoom_blur"][4][-1] == pytest.approx(1.25)


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize(("height", "width"), [(32, 32), (8, 8), (66, 70)])
def test_corrupted_images_have_shape_and_type_and_do_not_depend_on_their_batch(name, height, width):
    images = pictures(3, height, width)
    before, keys = images.copy(), np.array([7, 0, 123_456_789_012])
    for severity in (1, 5):
        found = corrupt(images, name, severity, keys=keys)
        assert found.shape == images.shape and found.dtype == np.uint8
        alone = corrupt(images[2:], name, severity, keys=keys[2:])
        assert np.abs(alone[0].astype(int) - found[2]).max() <= 1  # the last bit of a product depends on its size
        assert np.array_equal(corrupt(images, name, severity, keys=keys), found)
        assert height == 8 or not np.array_equal(found, images)  # few pixels: the smallest zooms are rounded off
    assert np.array_equal(images, before)
    assert np.array_equal(corrupt(images, name, 0, keys=keys), images)


@pytest.mark.parametrize(
    ("name", "side"),
    [(name, 32) for name in sorted(CORRUPTIONS.keys() - NOT_BY_ERROR)]
    + [(name, 96) for name in sorted(CORRUPTIONS.keys() - NOT_BY_ERROR - NOT_BY_ERROR_WHEN_LARGE)],
)
def test_mean_squared_error_grows_with_severity(name, side):
    images = textures(4, side)
    each = [corrupt(images, name, severity, keys=np.arange(4)) for severity in range(SEVERITIES + 1)]
    errors = [float(((one.astype(float) - images) ** 2).mean()) for one in each]
    assert errors[0] == 0 and errors == sorted(errors) and errors[-1] > 1.2 * errors[1]


@pytest.mark.parametrize("name", ["gaussian_noise", "impulse_noise", "glass_blur", "snow", "frost", "fog"])
def test_noise_depends_on_seed_and_image(name):
    images = np.repeat(pictures(1, 32, 32), 2, axis=0)
    found = corrupt(images, name, 3, keys=np.array([0, 1]))
    assert not np.array_equal(found[0], found[1])
    other = corrupt(images[:1], name, 3, keys=np.array([0]), seed=1)
    assert not np.array_equal(found[0], other[0])


@pytest.mark.parametrize("name", BLURS)
def test_blurs_and_warps_do_not_change_an_image_of_one_colour(name):
    images = np.full((2, 40, 40, 3), (10, 130, 250), dtype=np.uint8)
    for severity in range(1, SEVERITIES + 1):
        found = corrupt(images, name, severity, keys=np.arange(2))
        assert np.abs(found.astype(int) - images).max() <= 1


@pytest.mark.parametrize(("severity", "message"), [(6, "from 0 to 5"), (-1, "from 0 to 5"), (1.5, "from 0 to 5")])
def test_wrong_severity_is_refused(severity, message):
    with pytest.raises(UsageError, match=message):
        corrupt(pictures(1, 8, 8), "fog", severity, keys=np.arange(1))


def test_unknown_corruption_is_refused():
    with pytest.raises(UsageError, match="Did you mean `frost`"):
        corrupt(pictures(1, 8, 8), "frosts", 1, keys=np.arange(1))


def test_noises_have_their_moments():
    images = np.full((40, 32, 32, 3), 0.5, dtype=np.float32)
    added = noise.gaussian_noise(images, draws(40), 0.1) - images
    assert abs(added.mean()) < 2e-3 and added.std() == pytest.approx(0.1, rel=0.02)
    counted = noise.shot_noise(images, draws(40), 50)
    assert counted.mean() == pytest.approx(0.5, abs=2e-3) and counted.var() == pytest.approx(0.5 / 50, rel=0.03)
    hit = noise.impulse_noise(images, draws(40), 0.07)
    assert (hit != 0.5).mean() == pytest.approx(0.07, abs=3e-3)
    assert set(np.unique(hit)) == {0.0, 0.5, 1.0} and (hit == 1).mean() == pytest.approx((hit == 0).mean(), abs=4e-3)


@given(st.tuples(*[st.floats(0, 1)] * 3), st.sampled_from(CIFAR_C["brightness"]))
def test_brightness_adds_to_the_value_of_hsv(rgb, added):
    hue, saturation, value = colorsys.rgb_to_hsv(*rgb)
    expected = colorsys.hsv_to_rgb(hue, saturation, min(value + added, 1))
    found = digital.brightness(np.array(rgb, dtype=np.float32).reshape(1, 1, 1, 3), draws(1), added)
    if value > 1e-4 or value == 0:
        assert found.ravel() == pytest.approx(expected, abs=1e-4)


def test_contrast_scales_the_differences_from_the_mean_of_each_channel():
    images = pictures(2, 16, 16).astype(np.float32) / 255
    found = digital.contrast(images, draws(2), 0.3)
    mean = images.mean(axis=(1, 2))
    assert found.mean(axis=(1, 2)) == pytest.approx(mean, abs=1e-5)
    assert found.std(axis=(1, 2)) == pytest.approx(0.3 * images.std(axis=(1, 2)), rel=1e-4)


def test_pixelate_has_boxes_of_one_colour_and_the_same_mean():
    image = pictures(1, 32, 32)
    found = digital.pixelate(image.astype(np.float32) / 255, draws(1), 0.5)[0]
    boxes = found.reshape(16, 2, 16, 2, 3)
    assert np.array_equal(boxes[:, 0, :, 0], boxes[:, 1, :, 1])
    assert found.mean() * 255 == pytest.approx(image.mean(), abs=0.5)


@pytest.mark.parametrize("constants", [*CIFAR_C["defocus_blur"], *IMAGENET_C["defocus_blur"]])
def test_defocus_kernel_is_a_smooth_symmetric_disk(constants):
    kernel = blurs.disk(*constants)
    assert kernel.sum() == pytest.approx(1, abs=1e-5) and kernel.min() >= 0
    assert np.allclose(kernel, kernel.T) and np.allclose(kernel, kernel[::-1])
    reach = len(kernel) // 2
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    assert kernel[np.hypot(rows, columns) > constants[0] + 3].max(initial=0) < 1e-6


def test_glass_exchanges_pixels_with_near_ones():
    images = np.zeros((1, 24, 24, 3), dtype=np.float32)
    images[0] = np.arange(24 * 24).reshape(24, 24, 1) / 600
    found = blurs.glass_blur(images, draws(1), (1e-3, 1, 1))[0, ..., 0]
    assert sorted(np.rint(found.ravel() * 600)) == list(range(24 * 24))  # nothing is lost
    place = np.rint(found * 600).astype(int)
    rows, columns = np.mgrid[:24, :24]
    assert np.abs(place // 24 - rows).max() <= 4 and np.abs(place % 24 - columns).max() <= 4
    assert (place != np.arange(24 * 24).reshape(24, 24)).mean() > 0.5


def test_blur_along_a_line_is_a_tail_with_gaussian_weights():
    image = np.zeros((2, 41, 41, 1), dtype=np.float32)
    image[:, 20, 20] = 1
    found = along_line(image, np.array([0.0, 90.0]), radius=4, deviation=3)
    weights = np.exp(-(np.arange(9) ** 2) / 18)
    assert found[0, 20, 20:29, 0] == pytest.approx(weights / weights.sum(), abs=1e-6)
    assert found[1, 20:29, 20, 0] == pytest.approx(weights / weights.sum(), abs=1e-6)
    assert found.sum(axis=(1, 2, 3)) == pytest.approx([1, 1])


@settings(max_examples=40)
@given(st.integers(2, 70), st.floats(1.0, 5.0))
def test_zoom_is_an_interpolation_that_keeps_the_centre(size, factor):
    matrix = zoom_matrix(size, factor)
    assert matrix.min() >= 0 and matrix.sum(axis=1) == pytest.approx(np.ones(size), abs=1e-5)
    if size > 4:  # a line is enlarged by about the factor
        line = matrix @ np.linspace(-1, 1, size)
        assert abs(line[0] + line[-1]) < 4 / size and line[-1] <= 1 + 1e-6
    assert np.allclose(zoom_matrix(size, 1.0), np.eye(size))


def test_zoomed_planes_equal_scipys_zoom_of_the_centre():
    from scipy.ndimage import zoom

    plane = pictures(1, 32, 32)[0, ..., 2].astype(np.float32)
    part = int(np.ceil(32 / 1.2))
    top = (32 - part) // 2
    whole = zoom(plane[top : top + part, top : top + part], 1.2, order=1)
    trim = (len(whole) - 32) // 2
    assert zoomed(plane[None], 1.2)[0] == pytest.approx(whole[trim : trim + 32, trim : trim + 32], abs=0.05)


def test_bilinear_equals_scipys_interpolation_with_reflection():
    from scipy.ndimage import map_coordinates

    image = pictures(1, 12, 15)[..., :1].astype(np.float32)
    rows, columns = np.random.default_rng(0).uniform(-30, 40, (2, 1, 5, 7)).astype(np.float32)
    expected = map_coordinates(image[0, ..., 0], [rows[0], columns[0]], order=1, mode="reflect")
    assert bilinear(image, rows, columns)[0, ..., 0] == pytest.approx(expected, abs=0.02)


def test_elastic_map_without_shift_and_displacement_is_the_identity():
    images = pictures(2, 20, 20).astype(np.float32) / 255
    assert digital.elastic_transform(images, draws(2), (0, 1, 0)) == pytest.approx(images, abs=1e-4)


@pytest.mark.parametrize(("side", "whole"), [(8, 8), (9, 16), (224, 256)])
def test_plasma_is_smooth_and_in_range(side, whole):
    heights = weather.plasma(draws(3), side, 2)
    assert heights.shape == (3, whole, whole) and heights.min() == 0 and heights.max() == 1
    rough = weather.plasma(draws(3), side, 1.2)
    assert np.abs(np.diff(heights, axis=1)).mean() < np.abs(np.diff(rough, axis=1)).mean()


def test_frost_covers_about_half_and_fog_keeps_the_brightest_level():
    black = np.zeros((20, 32, 32, 3), dtype=np.float32)
    assert 0.3 < weather.frost(black, draws(20), (1, 1)).mean() < 0.6
    images = pictures(4, 32, 32).astype(np.float32) / 255
    assert weather.fog(images, draws(4), (1.5, 2)).max() <= images.max() + 1e-6
