"""Conversion of unusual images: each is stored with the pixels that Pillow shows, or reported."""

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ltray.convert import main
from ltray.data.beton.manifest import Sidecar
from ltray.data.beton.reader import BetonFile

pytestmark = pytest.mark.ffcv

RGB = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8))
GREY = RGB.convert("L")
Pixels = np.ndarray
Make = Callable[[Path], Pixels]
"""Writes an image; returns its expected pixels, (H, W, 3)."""


def plain(kind: str, image: Image.Image = RGB, **options: object) -> Make:
    def make(path: Path) -> Pixels:
        image.save(path, kind, **options)
        with Image.open(path) as saved:
            return np.asarray(saved.convert("RGB"))

    return make


def deep(path: Path) -> Pixels:
    values = np.asarray(GREY).astype(np.uint16) * 257
    values[0, :3] = (0, 65_535, 32_896)
    Image.fromarray(values).save(path, "png")
    return np.repeat(np.round(values / 257).astype(np.uint8)[..., None], 3, axis=2)


def over_white(path: Path) -> Pixels:
    alpha = np.random.default_rng(1).integers(0, 2, (20, 30), dtype=np.uint8) * 255
    Image.merge("RGBA", (*RGB.split(), Image.fromarray(alpha))).save(path, "png")
    return np.where(alpha[..., None] == 255, np.asarray(RGB), 255).astype(np.uint8)


def clear_palette(path: Path) -> Pixels:
    image = RGB.quantize(8)
    image.save(path, "png", transparency=3)
    return np.where(np.asarray(image)[..., None] == 3, 255, np.asarray(image.convert("RGB"))).astype(np.uint8)


def lying_on_its_side(path: Path) -> Pixels:
    exif = Image.Exif()
    exif[0x0112] = 6
    RGB.save(path, "jpeg", exif=exif)
    with Image.open(path) as saved:
        return np.rot90(np.asarray(saved), -1)


def frames(kind: str) -> Make:
    def make(path: Path) -> Pixels:
        RGB.quantize(64).save(path, kind, save_all=True, append_images=[GREY], duration=100)
        with Image.open(path) as saved:
            return np.asarray(saved.convert("RGB"))

    return make


def wide(path: Path) -> Pixels:
    image = Image.fromarray(np.random.default_rng(2).integers(0, 256, (3, 4000, 3), dtype=np.uint8))
    image.save(path, "png")
    return np.asarray(image.resize((500, 1), Image.Resampling.BILINEAR))  # stored raw, because it has few pixels


def in_a_folder_called_like_an_image(path: Path) -> Pixels:
    path.mkdir()
    return plain("png")(path / "inside.png")


HANDLED: dict[str, tuple[Make, str]] = {
    "RGB.png": (plain("png"), ""),
    "photo.jpg": (plain("jpeg", quality=95), ""),
    "grey.jpg": (plain("jpeg", GREY), "grayscale"),
    "cmyk.jpg": (plain("jpeg", RGB.convert("CMYK")), "CMYK"),
    "cmyk.tif": (plain("tiff", RGB.convert("CMYK")), "CMYK"),
    "deep.png": (deep, "16 bit"),
    "one bit.png": (plain("png", GREY.convert("1")), "black and white"),
    "palette.png": (plain("png", RGB.quantize(8)), "palette"),
    "clear palette.png": (clear_palette, "palette"),
    "clear.png": (over_white, "transparency"),
    "turned.jpg": (lying_on_its_side, "rotated by EXIF"),
    "1x1.png": (plain("png", RGB.resize((1, 1))), "very small: 1 x 1 pixels"),
    "wide.png": (wide, "very small: 4000 x 3 pixels"),
    "moving.gif": (frames("gif"), "first of several frames"),
    "lossless.webp": (plain("webp", lossless=True), ""),
    "packed.tiff": (plain("tiff", compression="tiff_lzw"), ""),
    "a png inside.jpg": (plain("png"), ""),
    "UPPER.PNG": (plain("png"), ""),
    "Käfer 木 🐞.png": (plain("png"), ""),
    "folder.jpg": (in_a_folder_called_like_an_image, ""),
}


def content(text: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(text)


def cut(kind: str) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        RGB.save(path, kind)
        path.write_bytes(path.read_bytes()[:-200])

    return make


def huge(path: Path) -> None:
    """Write the beginning of a PNG of 3.6 billion pixels: a decompression bomb."""
    size = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", size), (b"IDAT", zlib.compress(bytes(1000))))
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty.jpg": (content(b""), "the file is empty"),
    "text.png": (content(b"no image"), "not an image of a supported format"),
    "cut.jpg": (cut("jpeg"), "truncated"),
    "cut.png": (cut("png"), "cut.png: "),
    "huge.png": (huge, "too many pixels to decode safely"),
    "dead link.jpg": (lambda path: path.symlink_to("nowhere.jpg"), "No such file"),
    "circle.jpg": (lambda path: path.symlink_to(path.name), "symbolic link"),
    "pipe.jpg": (os.mkfifo, "not a file"),
}


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Pixels], list[str]]:
    """Convert all images; returns the conversion's folder, the expected pixels by name, and the report."""
    root = tmp_path_factory.mktemp("odd")
    place = root / "My odd images" / "class ä"
    place.mkdir(parents=True)
    expected = {name: make(place / name) for name, (make, _) in HANDLED.items()}
    for name, (spoil, _) in REFUSED.items():
        spoil(place / name)
    (place / "notes.txt").write_text("no image")
    RGB.save(place / "photo.heic", "png")
    (place / "round").symlink_to(place)
    other = place.parent / "other"
    other.mkdir()
    Image.new("RGB", (30, 20), "red").save(other / "red.png")
    RGB.save(place.parent / "loose.png")
    with open(os.devnull, "w") as nowhere, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stderr", nowhere)
        patch.chdir(root)  # where the data-set file is written
        assert main([str(place.parent), "image_size=96", "--output", str(root), "--on-error", "skip", "--verify"]) == 0
    (folder,) = (path.parent for path in root.rglob("train.beton"))
    return folder, expected, (folder / "report.txt").read_text().splitlines()


def place_of(name: str) -> str:
    return "folder.jpg/inside.png" if name == "folder.jpg" else name


def test_stored_images_equal_those_of_pillow(
    converted: tuple[Path, dict[str, Pixels], list[str]],
) -> None:
    folder, expected, _ = converted
    sidecar = Sidecar.read(folder / "train.beton")
    assert sidecar.counts == (len(HANDLED), 1) and sidecar.skipped == len(REFUSED)
    file = BetonFile(sidecar)
    for index, name in enumerate(sorted(HANDLED, key=place_of)):
        stored = file.decode(index)
        np.testing.assert_array_equal(stored, expected[name], err_msg=name)
        assert stored.max() > 0, f"{name} was stored as zeros"


@pytest.mark.parametrize("name", [name for name, (_, note) in HANDLED.items() if note])
def test_changed_image_is_reported(converted: tuple[Path, dict[str, Pixels], list[str]], name: str) -> None:
    report, note = converted[2], HANDLED[name][1]
    heading = next(number for number, line in enumerate(report) if name in line)
    while report[heading].startswith(" "):
        heading -= 1
    assert f"changed: {note}" in report[heading]


@pytest.mark.parametrize("name", REFUSED)
def test_unusable_image_is_reported_with_the_reason(
    converted: tuple[Path, dict[str, Pixels], list[str]], name: str
) -> None:
    (line,) = (line for line in converted[2] if f"/{name}: " in line)
    assert REFUSED[name][1] in line


def test_ignored_files_are_counted(converted: tuple[Path, dict[str, Pixels], list[str]]) -> None:
    report = converted[2]
    assert "train: 2 files of other types ignored: .txt 1, .heic 1" in report
    assert any(line.startswith("train: 1 image outside class folders ignored") for line in report)
