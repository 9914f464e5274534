"""Views per second from .beton files, compared with a torch DataLoader with PIL and with torchvision.io.

    python -m benchmarks.data                         # 32 and 224 pixels, 1, 2 and 3 views
    python -m benchmarks.data --side 224 --images 500 --workers 1 2

All pipelines use the same images and the same recipe and run alternately for several rounds; the
table shows the median. Wall-clock time is the time that a user waits; CPU time does not depend on the load
of the machine. The first batch, including start-up, is listed separately and is not part of the
rates. For comparison, the table shows the limits of the machine: the rate of copying memory, and
the rate of decoding the same JPEGs with libjpeg-turbo alone.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.data_ours import BATCH, ours
from benchmarks.data_pipelines import RECIPES, dataloader_batches
from ltray.data.beton.convert import convert
from ltray.data.beton.progress import ProgressBars
from ltray.data.beton.reader import BetonFile
from ltray.data.beton.store import converted
from ltray.data.definition import DatasetDefinition

CLASSES = 4
Pipeline = tuple[Callable[[], Iterator[object]], bool]


@dataclass(frozen=True)
class Rate:
    """The rates of a pipeline.

    Attributes:
        first: Seconds to the first batch.
        wall: Views per second afterwards.
        cpu: Views per CPU second afterwards; 0 if separate worker processes did the work.
    """

    first: float
    wall: float
    cpu: float


def measured(start: Callable[[], Iterator[object]], views: int, *, own_process: bool = True) -> Rate:
    """Run one epoch of a pipeline and time it."""
    began = time.perf_counter()
    batches = start()
    next(batches)
    first, cpu_first = time.perf_counter(), time.process_time()
    count = sum(1 for _ in batches) * BATCH * views
    wall, cpu = time.perf_counter() - first, time.process_time() - cpu_first
    return Rate(first - began, count / wall, count / cpu if own_process else 0.0)


def write_images(folder: Path, *, side: int, count: int) -> None:
    """Write JPEGs with the size and detail of photographs (224), or PNGs of 32 pixels, one folder per class."""
    random = np.random.default_rng(0)
    for number in range(count):
        place = folder / f"class {number % CLASSES}"
        place.mkdir(parents=True, exist_ok=True)
        if side == 32:
            pixels = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(place / f"{number}.png")
        else:
            coarse = Image.fromarray(random.integers(0, 256, (60, 80, 3), dtype=np.uint8))
            coarse.resize((500, 375), Image.Resampling.BICUBIC).save(place / f"{number}.jpg", quality=90)


def decode_limit(definition: DatasetDefinition) -> float:
    """Return the images per CPU second of the decoder without other work."""
    file = BetonFile(converted(definition).pools["train"])
    began = time.process_time()
    for index in range(len(file)):
        file.decode(index)
    return len(file) / (time.process_time() - began)


def copy_limit() -> float:
    """Return the GB per second that one thread copies."""
    source = np.ones(1 << 27, dtype=np.uint8)
    target = np.zeros_like(source)
    began = time.perf_counter()
    for _ in range(4):
        np.copyto(target, source)
    return 4 * source.nbytes / (time.perf_counter() - began) / 1e9


def compare(folder: Path, *, side: int, images: int, workers: list[int], rounds: int) -> None:
    """Print the rates of all pipelines for images of one size."""
    originals = folder / f"images-{side}"
    write_images(originals, side=side, count=images)
    definition = DatasetDefinition(
        name=f"bench-{side}", source="folder", folder=str(originals), store=str(folder / f"store-{side}"),
        image_size=side, protocol="paper", test_per_class=1,
    )  # fmt: skip
    convert(definition, progress=ProgressBars(shown=False))
    print(f"{side} pixels, {images} images; decoding only: {decode_limit(definition):,.0f} images per CPU second")
    print(f"{'views':>5}  {'pipeline':<32} {'first batch s':>13} {'views/s':>9} {'views/CPU s':>11}  speed of ltray")
    for names in RECIPES[side]:
        taken: dict[str, list[Rate]] = {}
        for _ in range(rounds):
            for title, (start, own_process) in pipelines(definition, names, workers=workers).items():
                taken.setdefault(title, []).append(measured(start, len(names), own_process=own_process))
        rates = {title: middle(several) for title, several in taken.items()}
        mine = rates["ltray"]
        for title, rate in rates.items():
            per_cpu = f"{rate.cpu:>11,.0f}" if rate.cpu else f"{'':>11}"
            ratio = f"{mine.cpu / rate.cpu:.1f}x per CPU second" if rate.cpu else f"{mine.wall / rate.wall:.1f}x"
            ratio = "" if rate is mine else ratio
            print(f"{len(names):>5}  {title:<32} {rate.first:>13.2f} {rate.wall:>9,.0f} {per_cpu}  {ratio}", flush=True)


def middle(rates: list[Rate]) -> Rate:
    """Return the median of each figure."""
    return Rate(*(statistics.median(getattr(rate, name) for rate in rates) for name in ("first", "wall", "cpu")))


def pipelines(definition: DatasetDefinition, names: tuple[str, ...], *, workers: list[int]) -> dict[str, Pipeline]:
    """Return the function that starts each pipeline, and whether it works in this process."""
    found: dict[str, Pipeline] = {"ltray": (partial(ours, definition, names), True)}
    for kind in ("PIL", "torchvision.io + v2"):
        for count in (0, *workers):
            start = partial(dataloader_batches, Path(definition.folder), names, kind=kind, workers=count)
            title = f"{kind}, {count} workers"
            found[title] = partial(start, side=definition.image_size, batch=BATCH), count == 0
    return found


def main() -> None:
    """Run the measurements of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, nargs="+", choices=tuple(RECIPES), default=list(RECIPES))
    parser.add_argument("--images", type=int, default=640, help="images of each size")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2], help="processes of the DataLoader")
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds; their median is shown")
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{len(os.sched_getaffinity(0))} processors, load {os.getloadavg()[0]:.1f}; copying {copy_limit():.1f} GB/s")
    with tempfile.TemporaryDirectory() as folder:
        for side in given.side:
            compare(Path(folder), side=side, images=given.images, workers=given.workers, rounds=given.rounds)


if __name__ == "__main__":
    main()
