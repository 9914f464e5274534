"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009) from Parquet files, or from torchvision's download.

A long-tailed subset is defined by ranks within each class (see `splits`), in the order of the
file that is read. With the original release, which torchvision downloads, it contains exactly
the images of the official subsets. In Parquet files the order of a class's images differs:
counts and ranks are the same, but the images are others.
"""

import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ltray.data.data_folder import data_folder
from ltray.data.definition import DatasetDefinition
from ltray.data.originals import ArrayOriginals, Originals, Source
from ltray.data.sources.parquet import parquet_source
from ltray.errors import UsageError

LABEL = {"cifar10": "label", "cifar100": "fine_label"}


def open_cifar(definition: DatasetDefinition) -> Source:
    """Describe CIFAR: Parquet in `folder` or $LTRAY_SHARED_DATA, else torchvision's download.

    Raises:
        UsageError: `folder` is set but contains no Parquet files of this set.
    """
    kind = definition.source
    files = parquet_files(definition)
    if all(file.is_file() for several in files.values() for file in several):
        return parquet_source(files, image="img", label=LABEL[kind], folder=files["train"][0].parent)
    if definition.folder:
        raise UsageError(
            f"`folder: {definition.folder}` must contain {kind}-train.parquet and {kind}-test.parquet; "
            "remove `folder` to download CIFAR."
        )
    return _download_source(kind)


def parquet_files(definition: DatasetDefinition) -> dict[str, list[Path]]:
    """Return the paths at which the Parquet files of each split are searched."""
    folder = Path(definition.folder or os.environ.get("LTRAY_SHARED_DATA", "")).absolute()
    return {split: [folder / f"{definition.source}-{split}.parquet"] for split in ("train", "test")}


def is_downloaded(kind: str) -> bool:
    """Return whether torchvision has already downloaded a set."""
    from torchvision import datasets as published

    folders = {"cifar10": published.CIFAR10.base_folder, "cifar100": published.CIFAR100.base_folder}
    return Path(data_folder(), "downloads", folders[kind]).is_dir()


def _download_source(kind: str) -> Source:
    root = data_folder() / "downloads"
    published = _torchvision(kind, root, train=False)
    return Source(
        class_names=tuple(published.classes),
        origin=f"torchvision's download in {root}",
        pools={"train": partial(_downloaded, kind, root, True), "test": partial(_downloaded, kind, root, False)},
        root=str(root),
        watched=tuple(
            os.path.join(published.root, published.base_folder, name)
            for name, _ in (*published.train_list, *published.test_list)
        ),
    )


def _downloaded(kind: str, root: Path, train: bool) -> Originals:
    images = _torchvision(kind, root, train=train)
    first = os.path.join(images.root, images.base_folder, (images.train_list if train else images.test_list)[0][0])
    return ArrayOriginals(images.data, np.asarray(images.targets, dtype=np.int64), kind, first)


def _torchvision(kind: str, root: Path, *, train: bool) -> Any:
    from torchvision import datasets as published

    try:
        return {"cifar10": published.CIFAR10, "cifar100": published.CIFAR100}[kind](str(root), train, download=True)
    except (OSError, RuntimeError) as error:
        raise UsageError(
            f"{kind} could not be downloaded to {root} ({error}); set `folder` or LTRAY_SHARED_DATA to a folder "
            f"with {kind}-train.parquet and {kind}-test.parquet."
        ) from error
