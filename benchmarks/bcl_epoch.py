"""BCL on CIFAR-100-LT: ltray's data path compared with DataLoader + PIL + torchvision, with the same model.

    python -m benchmarks.bcl_epoch [--steps 20] [--rounds 3] [--device cuda] [--source memory]

Both sides use the same images, batch, views and recipe and run alternately in one process, so that
a busy machine slows both. Printed: views/s of the loaders without training, images/s of the
complete training, and separately the time to the first batch. A DataLoader worker is a separate process; ltray
computes its views in the training process, on its device.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from ltray.data.dataset import ImageData, open_data
from ltray.engine.optimizers import new_optimizer
from ltray.engine.train_step import set_training_mode
from ltray.experiment import Experiment
from ltray.stage import Batch, Stage


class Cutout:
    """Erase a square of half the side around a uniform centre, clipped at the border."""

    def __call__(self, image: Tensor) -> Tensor:
        """Erase in an image (3, S, S) of values in [0, 1]."""
        side = image.shape[1]
        row, column = (int(torch.randint(side, ())) for _ in range(2))
        half = side // 4
        image = image.clone()
        image[:, max(row - half, 0) : row + half, max(column - half, 0) : column + half] = 0.0
        return image


class ThreeViews(Dataset[tuple[list[Tensor], int]]):
    """BCL's views of PIL images, one image at a time."""

    def __init__(self, images: Tensor, labels: Tensor, data: ImageData) -> None:
        self.images, self.labels = images.permute(0, 2, 3, 1).numpy(), labels.tolist()
        normalise = v2.Normalize(data.definition.mean, data.definition.std)
        tensor = v2.Compose([v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)])
        policy = v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10)
        flip = v2.RandomHorizontalFlip()
        self.classify = v2.Compose([v2.RandomCrop(32, 4), flip, policy, tensor, Cutout(), normalise])
        jitter = v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8)
        self.sim = v2.Compose([v2.RandomResizedCrop(32), flip, jitter, v2.RandomGrayscale(0.2), tensor, normalise])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[list[Tensor], int]:
        image = v2.functional.to_pil_image(self.images[index])
        return [self.classify(image), self.sim(image), self.sim(image)], self.labels[index]


def plain_batches(data: ImageData, batch: int, workers: int, device: torch.device) -> Iterator[Batch]:
    """Yield the comparison's batches forever."""
    images = torch.cat([part for part in _stored(data)])
    labels = torch.from_numpy(data.splits.train.labels)
    loader = DataLoader(ThreeViews(images, labels, data), batch, shuffle=True, num_workers=workers, drop_last=True)
    while True:
        for views, label in loader:
            moved = {name: view.to(device) for name, view in zip(("classify", "first", "second"), views, strict=True)}
            yield Batch(moved, label.to(device), torch.zeros_like(label))


def _stored(data: ImageData) -> Iterator[Tensor]:
    pool = data._train_images
    order = torch.arange(len(data.splits.train.indices))
    yield from (part.cpu() for part in pool.stream(order, 4096))


def ltray_batches(data: ImageData, stage: Stage) -> Iterator[Batch]:
    """Yield ltray's batches forever."""
    loader = data.training(stage, None, seed=0)
    epoch = 0
    while True:
        yield from loader.epoch(epoch)
        epoch += 1


def seconds(work: Callable[[], Any], device: torch.device) -> float:
    """Return the duration of `work`, including the device's computation."""
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


class Side:
    """One side of the comparison: its batches and its own copy of the model."""

    def __init__(self, experiment: Experiment, data: ImageData, device: torch.device, workers: int | None) -> None:
        (self.stage,) = experiment.stages(data.tail)
        self.stage.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        set_training_mode(self.stage)
        self.optimizer = new_optimizer(self.stage)
        batch = experiment.knobs[0].batch_size
        self.device = device

        def batches() -> Iterator[Batch]:
            return ltray_batches(data, self.stage) if workers is None else plain_batches(data, batch, workers, device)

        self._batches = batches
        self.first = seconds(self._first, device)

    def _first(self) -> None:
        self.batches = self._batches()
        next(self.batches)

    def load(self, steps: int) -> None:
        """Read batches without using them."""
        for _ in range(steps):
            next(self.batches)

    def train(self, steps: int) -> None:
        """Read batches and train on them."""
        assert self.optimizer is not None
        for _ in range(steps):
            self.optimizer.zero_grad(set_to_none=True)
            torch.stack(list(self.stage(next(self.batches)).values())).sum().backward()
            self.optimizer.step()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=8, help="steps per round and side")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1, help="DataLoader processes of the comparison")
    parser.add_argument("--threads", type=int, default=1, help="compute threads of the training process")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--source", default="ffcv", choices=("ffcv", "memory"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    experiment = Experiment.from_settings({"dataset": "cifar100-lt", "methods": ["bcl"]})
    data = open_data(experiment.dataset, device=device, source=options.source)
    images = experiment.knobs[0].batch_size * options.steps
    alone = {"ltray": Side(experiment, data, device, None), "DataLoader": Side(experiment, data, device, 0)}
    whole = {"ltray": alone["ltray"], "DataLoader": Side(experiment, data, device, options.workers)}
    rates: dict[tuple[str, str], list[float]] = {}
    for _ in range(options.rounds):
        for name in alone:
            loading = seconds(lambda side=alone[name]: side.load(options.steps), device)  # type: ignore[misc]
            training = seconds(lambda side=whole[name]: side.train(options.steps), device)  # type: ignore[misc]
            rates.setdefault(("views/s, without training", name), []).append(3 * images / loading)
            rates.setdefault(("images/s, training", name), []).append(images / training)
    print(f"{device}, {options.threads} threads, batch {images // options.steps}, torch {torch.__version__}")
    print("| figure | ltray | DataLoader | ratio of medians |\n| --- | ---: | ---: | ---: |")
    for what in ("views/s, without training", "images/s, training"):
        ours, plain = (statistics.median(rates[what, name]) for name in ("ltray", "DataLoader"))
        print(f"| {what} | {ours:,.0f} | {plain:,.0f} | {ours / plain:.2f} |")
    ours, plain = whole["ltray"].first, whole["DataLoader"].first
    print(f"| seconds to the first batch | {ours:.2f} | {plain:.2f} | {ours / plain:.2f} |")


if __name__ == "__main__":
    main()
