"""A DataLoader for the same views: files, torchvision's transforms, one process per worker."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import io, transforms
from torchvision.transforms import v2

STRONG, SIM = "autoaugment_cutout", "sim"
RECIPES: dict[int, list[tuple[str, ...]]] = {
    32: [(STRONG,), (STRONG, STRONG), (STRONG, SIM, SIM)],  # one view; ResCom's two; BCL's three
    224: [(SIM,), (SIM, SIM), (SIM, SIM, SIM)],
}
"""Policies of ltray by the side of a view."""

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)


def cutout(image: Tensor) -> Tensor:
    """Set a square of half the side around a random centre to black."""
    side = image.shape[1]
    top, left = (int(torch.randint(side, ())) - side // 4 for _ in range(2))
    image[:, max(top, 0) : top + side // 2, max(left, 0) : left + side // 2] = 0.0
    return image


def pil(name: str, side: int) -> Callable[[Image.Image], Tensor]:
    """Return a policy as torchvision transforms of PIL images."""
    t = transforms
    end = [t.Normalize(MEAN, STD)]
    if name == STRONG:
        augment = t.AutoAugment(t.AutoAugmentPolicy.CIFAR10)
        first = [t.RandomCrop(side, side // 8), t.RandomHorizontalFlip(), augment, t.ToTensor(), cutout]
        return t.Compose(first + end)
    jitter = t.RandomApply([t.ColorJitter(0.4, 0.4, 0.4, 0.1)], 0.8)
    scale = (0.2, 1.0) if side == 32 else (0.08, 1.0)
    crop = t.RandomResizedCrop(side, scale)
    return t.Compose([crop, t.RandomHorizontalFlip(), jitter, t.RandomGrayscale(0.2), t.ToTensor(), *end])


def tensors(name: str, side: int) -> Callable[[Tensor], Tensor]:
    """Return a policy as torchvision v2 transforms of uint8 tensors."""
    to_float = v2.ToDtype(torch.float32, scale=True)
    end = [v2.Normalize(MEAN, STD)]
    if name == STRONG:
        augment = v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10)
        first = [v2.RandomCrop(side, side // 8), v2.RandomHorizontalFlip(), augment, to_float, cutout]
        return v2.Compose(first + end)
    jitter = v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], 0.8)
    scale = (0.2, 1.0) if side == 32 else (0.08, 1.0)
    crop = v2.RandomResizedCrop(side, scale, antialias=True)
    return v2.Compose([crop, v2.RandomHorizontalFlip(), jitter, v2.RandomGrayscale(0.2), to_float, *end])


def open_pil(file: Path) -> Image.Image:
    """Decode with PIL."""
    with Image.open(file) as image:
        return image.convert("RGB")


def open_tensor(file: Path) -> Tensor:
    """Decode with torchvision.io."""
    return io.decode_image(io.read_file(str(file)), io.ImageReadMode.RGB)


class Files(Dataset[tuple[Tensor, ...]]):
    """Image files, each with one view per policy."""

    def __init__(self, folder: Path, names: tuple[str, ...], *, kind: str, side: int) -> None:
        self.files = sorted(folder.rglob("*.*"))
        self.open: Callable[[Path], Any] = open_pil if kind == "PIL" else open_tensor
        make = partial(pil if kind == "PIL" else tensors, side=side)
        self.policies: list[Callable[[Any], Tensor]] = [make(name) for name in names]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        image = self.open(self.files[index])
        return tuple(policy(image) for policy in self.policies)


def dataloader_batches(
    folder: Path, names: tuple[str, ...], *, kind: str, side: int, batch: int, workers: int
) -> Iterator[object]:
    """Yield an epoch's batches of a DataLoader; `kind` is "PIL" or anything else for torchvision.io."""
    files = Files(folder, names, kind=kind, side=side)
    yield from DataLoader(files, batch, shuffle=True, num_workers=workers, drop_last=True)
