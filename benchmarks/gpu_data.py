"""Write the data file of `benchmarks.gpu`: training and test images of CIFAR-100-LT, factor 100, in one Parquet file.

    python -m benchmarks.gpu_data --output cifar100-lt.parquet      # about 38 MB

The images are WebP without loss. The file contains the definition of the data set and the digest of all pixels, so that
the machine with the GPU needs neither the originals nor a conversion.
"""

import argparse
import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from PIL import Image

from ltray.data.dataset import ImageData, Opened
from ltray.data.definition import DatasetDefinition
from ltray.data.pools import MemoryPool
from ltray.data.splits import Split
from ltray.errors import UsageError
from ltray.files import reading, replacing

LARGEST = 64 << 20  # bytes: what can be copied to the machine with the GPU
DESCRIPTION = b"ltray"  # the key of the description in the file's metadata
FIELDS = ("name", "profile", "image_size", "flip", "mean", "std")  # of the definition; the images are already selected
SPLITS = ("train", "test")


@dataclass(frozen=True)
class StoredImages:
    """The images of a split.

    Attributes:
        pixels: uint8 (n, H, W, 3).
        labels: Of each image (n,).
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]


def write(
    output: Path, splits: Mapping[str, StoredImages], *, fields: Mapping[str, Any], class_names: Iterable[str]
) -> int:
    """Write the file; return its size in bytes.

    Args:
        output: The file.
        splits: Images of "train" and "test".
        fields: The data set's definition, `FIELDS`.
        class_names: Names in label order.

    Raises:
        UsageError: It is larger than `LARGEST`.
    """
    description = {"fields": dict(fields), "classes": list(class_names), "sha256": digest(splits)}
    names = [name for name, one in splits.items() for _ in one.labels]
    table = pa.table(
        {
            "split": names,
            "label": np.concatenate([one.labels for one in splits.values()]),
            "image": [_encoded(pixels) for one in splits.values() for pixels in one.pixels],
        },
        metadata={DESCRIPTION: json.dumps(description).encode()},
    )
    with replacing(output) as temporary:
        pq.write_table(table, temporary, compression="none")
        size = temporary.stat().st_size
        if size > LARGEST:
            raise UsageError(f"{output}: would have {size:,} bytes, but at most {LARGEST:,} can be copied.")
    return size


def digest(splits: Mapping[str, StoredImages]) -> str:
    """Return the SHA-256 of all pixels and labels."""
    found = hashlib.sha256()
    for name in SPLITS:
        found.update(splits[name].pixels.tobytes())
        found.update(splits[name].labels.astype("<i8").tobytes())
    return found.hexdigest()


def read(file: Path, device: torch.device, *, images: int | None = None) -> ImageData:
    """Read the file into memory of the device.

    Args:
        file: The file that `write` has written.
        device: The device of the images and of the views.
        images: Approximate number of training and of test images to use; None: all.

    Raises:
        UsageError: It is missing, damaged, or not such a file.
    """
    with reading(file, "not a file of benchmarks.gpu_data"):
        table = pq.read_table(file)
        description = json.loads(table.schema.metadata[DESCRIPTION])
        columns = {name: table.column(name).to_pylist() for name in ("split", "label", "image")}
        splits = {name: _split(columns, name) for name in SPLITS}
        if digest(splits) != description["sha256"]:
            raise ValueError("the digest of its pixels differs from the recorded one")
    splits = {name: _first(one, images) for name, one in splits.items()}
    fields = {name: tuple(v) if isinstance(v, list) else v for name, v in description["fields"].items()}
    definition = DatasetDefinition(source="cifar100", protocol="paper", **fields)
    pools = {name: torch.from_numpy(one.pixels).permute(0, 3, 1, 2).contiguous() for name, one in splits.items()}

    def opened_images(split: Split) -> MemoryPool:
        return MemoryPool(pools[split.pool][torch.from_numpy(split.indices)].to(device))

    opened = Opened(
        class_names=tuple(description["classes"]),
        labels={name: one.labels for name, one in splits.items()},
        fingerprint=lambda: f"{description['sha256']} {images}",
        images=opened_images,
        origin=str(file),
    )
    return ImageData(definition, opened, device)


def _encoded(pixels: NDArray[np.uint8]) -> bytes:
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, format="WEBP", lossless=True, quality=100, method=4, exact=True)
    return written.getvalue()


def _split(columns: Mapping[str, list[Any]], name: str) -> StoredImages:
    rows = [row for row, split in enumerate(columns["split"]) if split == name]
    pixels = [np.asarray(Image.open(io.BytesIO(columns["image"][row])).convert("RGB")) for row in rows]
    return StoredImages(np.stack(pixels), np.asarray([columns["label"][row] for row in rows], dtype=np.int64))


def _first(one: StoredImages, count: int | None) -> StoredImages:
    """Return about `count` images of a split: an equal share of each class, at least one image."""
    if count is None or count >= len(one.labels):
        return one
    share = count / len(one.labels)
    rows = [np.flatnonzero(one.labels == label) for label in np.unique(one.labels)]
    chosen = np.concatenate([own[: max(1, round(share * len(own)))] for own in rows])
    return StoredImages(one.pixels[chosen], one.labels[chosen])


def main() -> None:
    """Open CIFAR-100-LT, convert it if necessary, and write the file."""
    from ltray.data.dataset import open_data

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, metavar="FILE")
    options = parser.parse_args()
    definition = DatasetDefinition.read("cifar100-lt", {"protocol": "paper"})
    data = open_data(definition, device=torch.device("cpu"), source="memory")
    splits = {name: stored(data, getattr(data.splits, name)) for name in SPLITS}
    fields = {name: getattr(definition, name) for name in FIELDS}
    size = write(options.output, splits, fields=fields, class_names=data.class_names)
    counts = ", ".join(f"{len(one.labels):,} {name}" for name, one in splits.items())
    print(f"{options.output}: {counts} images, {size / 1e6:.1f} MB")


def stored(data: ImageData, split: Split) -> StoredImages:
    """Return the images of a split of an opened data set."""
    pool = data._opened.images(split)
    parts = list(pool.stream(torch.arange(len(pool)), 4096))
    pixels = torch.cat(parts).permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return StoredImages(pixels, split.labels)


if __name__ == "__main__":
    main()
