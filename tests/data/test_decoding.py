"""Image files of every kind are decoded to 8-bit RGB, or refused with the reason."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ltray.data.decoding import decode
from ltray.data.encoding import JPEG, RAW, Storage

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


RGB = Image.fromarray(PIXELS)
GREY = RGB.convert("L")
DEEP = Image.fromarray(np.asarray(GREY).astype(np.uint16) * 257)
ALPHA = Image.merge("RGBA", (*RGB.split(), Image.new("L", RGB.size, 0)))


@pytest.mark.parametrize(
    ("content", "expected", "note"),
    [
        (saved(RGB, "png"), PIXELS, None),
        (saved(GREY, "png"), np.asarray(GREY.convert("RGB")), "grayscale"),
        (saved(DEEP, "png"), np.asarray(GREY.convert("RGB")), "16 bit"),
        (saved(ALPHA, "png"), np.full_like(PIXELS, 255), "transparency"),
        (saved(RGB.quantize(16), "png"), np.asarray(RGB.quantize(16).convert("RGB")), "palette"),
        (saved(GREY.convert("1"), "png"), np.asarray(GREY.convert("1").convert("RGB")), "black and white"),
        (saved(RGB.convert("CMYK"), "tiff"), np.asarray(RGB.convert("CMYK").convert("RGB")), "CMYK"),
    ],
)
def test_every_kind_is_decoded_to_rgb(content: bytes, expected: np.ndarray, note: str | None) -> None:
    image = decode(content)
    np.testing.assert_array_equal(image.pixels, expected)
    assert image.notes == ((note,) if note else ())


@pytest.mark.parametrize("orientation", range(2, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = decode(saved(RGB, "jpeg", exif=exif, quality=95))
    upright = np.asarray(Image.open(io.BytesIO(saved(RGB, "jpeg", quality=95))))
    turned = {2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.transpose(1, 0, 2)} | {
        6: np.rot90(upright, -1), 7: np.rot90(upright, 2).transpose(1, 0, 2), 8: np.rot90(upright)
    }  # fmt: skip
    np.testing.assert_array_equal(image.pixels, turned[orientation])
    assert image.notes == ("rotated by EXIF",) and image.jpeg is None


def test_first_of_several_frames_is_used() -> None:
    image = decode(saved(RGB, "tiff", save_all=True, append_images=[GREY.convert("RGB")]))
    np.testing.assert_array_equal(image.pixels, PIXELS)
    assert image.notes == ("first of several frames",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"no image at all", "not an image"),
        (saved(RGB, "png")[:200], "truncated|Truncated|broken"),
        (saved(RGB, "jpeg")[:300], "truncated|Truncated"),
        (saved(Image.fromarray(np.asarray(GREY).astype(np.float32)), "tiff"), "no defined range"),
        (saved(Image.fromarray(np.asarray(GREY).astype(np.int32) - 9), "tiff"), "do not fit 16 bits"),
    ],
)
def test_undecodable_image_is_refused_with_the_reason(content: bytes, message: str) -> None:
    with pytest.raises((OSError, ValueError), match=message):
        decode(content)


def test_too_many_pixels_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match="too many pixels"):
        decode(saved(RGB, "png"))


def test_huge_jpeg_is_decoded_at_a_reduced_size() -> None:
    huge = saved(RGB.resize((1600, 1200)), "jpeg")
    assert decode(huge, longest=200).pixels.shape == (150, 200, 3)
    assert decode(huge, longest=900).pixels.shape == (1200, 1600, 3)


def test_small_views_are_stored_square_and_raw() -> None:
    stored = Storage(square=16).store(decode(saved(RGB, "png")))
    assert stored.mode == RAW and stored.pixels.shape == (16, 16, 3)
    assert stored.content == stored.pixels.tobytes()
    unchanged = Storage(square=20).fit(PIXELS)
    np.testing.assert_array_equal(unchanged, PIXELS[:, 5:25])


def test_jpeg_without_changes_is_stored_unchanged() -> None:
    original = saved(RGB.resize((300, 200)), "jpeg", quality=70)
    stored = Storage().store(decode(original))
    assert stored.mode == JPEG and stored.content == original


def test_large_images_are_capped_and_encoded() -> None:
    stored = Storage(longest=100).store(decode(saved(RGB.resize((300, 200)), "png")))
    assert stored.mode == JPEG and stored.pixels.shape == (67, 100, 3)
    assert Image.open(io.BytesIO(stored.content)).size == (100, 67)


def test_storage_keys_are_distinct() -> None:
    assert (
        len({Storage(32).key, Storage(64).key, Storage().key, Storage(longest=256).key, Storage(quality=80).key}) == 5
    )
