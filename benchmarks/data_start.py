"""From the start of a process to its first batch: a cost of every trial, compared with a plain DataLoader script.

    python -m benchmarks.data_start --rounds 5

Every measurement is a separate process. One process of each kind runs first and is not counted, so
that files and compiled loops are in their caches. The kinds alternate; the table shows medians of the
wall time from the parent's call to the line that the child prints, and of the CPU time with its workers.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CASES = {32: ("autoaugment_cutout", "sim", "sim"), 224: ("sim", "sim")}
"""Side of a view, and the views: BCL's three, SimAugment twice."""

OURS = """
import sys
from benchmarks.data_ours import ours
from ltray.data.definition import DatasetDefinition
batches = ours(DatasetDefinition.read(sys.argv[1]), tuple(sys.argv[3].split(",")))
"""
THEIRS = """
import sys
from pathlib import Path
from benchmarks.data_pipelines import dataloader_batches
names, workers = tuple(sys.argv[3].split(",")), int(sys.argv[4])
batches = dataloader_batches(Path(sys.argv[2]), names, kind="PIL", side=int(sys.argv[5]), batch=64, workers=workers)
"""
FIRST = """
next(batches)
print("first", flush=True)
"""


def started(program: str, arguments: list[str]) -> tuple[float, float]:
    """Return the wall-clock and CPU seconds until a new process has its first batch."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    command = [sys.executable, "-c", program + FIRST, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        if process.stdout.readline() != "first\n":
            raise RuntimeError(f"The process ended with {process.wait()} before its first batch.")
        wall = time.perf_counter() - began
        process.kill() if program == OURS else process.wait()  # a DataLoader's workers end with their parent
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime


def measure(folder: Path, side: int, *, images: int, rounds: int) -> None:
    """Print one row per kind of process."""
    from benchmarks.data import write_images
    from ltray.data.beton.convert import convert
    from ltray.data.beton.progress import ProgressBars
    from ltray.data.definition import DatasetDefinition

    originals, file = folder / f"images-{side}", folder / f"{side}.yaml"
    write_images(originals, side=side, count=images)
    file.write_text(
        f"name: start\nsource: folder\nfolder: {originals}\nstore: {folder}/store-{side}\n"
        f"image_size: {side}\ntest_per_class: 1\nprotocol: paper\n"
    )
    convert(DatasetDefinition.read(file), progress=ProgressBars(shown=False))
    programs = {"ltray": (OURS, "0"), "DataLoader, 0 workers": (THEIRS, "0"), "DataLoader, 2 workers": (THEIRS, "2")}
    taken: dict[str, list[tuple[float, float]]] = {title: [] for title in programs}
    for _ in range(rounds + 1):
        for title, (program, workers) in programs.items():
            arguments = [str(file), str(originals), ",".join(CASES[side]), workers, str(side)]
            taken[title].append(started(program, arguments))
    for title, several in taken.items():
        wall, cpu = (statistics.median(each) for each in zip(*several[1:], strict=True))
        print(f"{side:>4} {len(CASES[side]):>5}  {title:<24} {wall:>6.2f} {cpu:>6.2f}", flush=True)


def main() -> None:
    """Run the measurements of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=640, help="images of each size")
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    print(f"{len(os.sched_getaffinity(0))} processors, load {os.getloadavg()[0]:.1f}")
    print(f"{'side':>4} {'views':>5}  {'process':<24} {'wall s':>6} {'CPU s':>6}")
    with tempfile.TemporaryDirectory() as folder:
        for side in CASES:
            measure(Path(folder), side, images=given.images, rounds=given.rounds)


if __name__ == "__main__":
    main()
