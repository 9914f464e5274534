"""The spread of runs with different seeds: measures the rows of `ltray/published/spreads.py`.

    python -m benchmarks.spreads --methods cross_entropy bcl --epochs 60 --largest-class 500 precision=bfloat16

Each method (or sequence of methods, joined by +) is trained once per seed on the same images, with
schedules shortened to `--epochs`. The best epoch of each run is evaluated on the test set once. The
table has the mean and the spread (standard deviation) in points, and the ratio of the spread to the
standard error from the test images. `--largest-class` selects a smaller long-tailed subset, for
machines without a GPU. Further arguments are settings of every run. Finished runs below `--runs` are
not repeated.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from ltray.experiment import Experiment
from ltray.files import atomic_write
from ltray.results.folder_session import FolderSession
from ltray.results.predictions import TrainedModel
from ltray.run_folder import checkpoint_of
from ltray.setting_names import complete_keys
from ltray.settings import parse_assignments

CPU = torch.device("cpu")


def accuracy(names: str, seed: int, options: argparse.Namespace) -> tuple[float, int]:
    """Return the test accuracy of one run in points, and the number of test images; train the rest of the run first."""
    epochs, largest = options.epochs, options.largest_class
    name = "-".join((names, f"{epochs}epochs", str(largest or "all"), *options.settings))
    folder = options.runs / options.dataset / name / f"seed{seed}"
    result = folder / "result.json"
    if not result.is_file():
        given = {
            "dataset": options.dataset,
            "dataset.largest_class": largest,
            "methods": names.split("+"),
            "seed": seed,
        }
        given |= complete_keys(parse_assignments(options.settings), given["methods"])
        experiment = Experiment.from_settings(given).shortened(epochs)
        experiment.train(FolderSession(folder), CPU)
        found = TrainedModel.open(checkpoint_of(folder), CPU).on_test()
        atomic_write(result, json.dumps(found.metrics() | {"images": len(found.labels)}) + "\n")
    known = json.loads(result.read_text())
    return 100 * float(known["test/acc_all"]), int(known["images"])


def main() -> None:
    """Train the missing runs, then print a line per method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="cifar10-lt")
    parser.add_argument("--methods", nargs="+", default=["cross_entropy"])
    parser.add_argument("--seeds", type=int, default=5, help="seeds 1, 2, … (default: 5)")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--largest-class", type=int, default=0, help="training images of the largest class; 0: all")
    parser.add_argument("--runs", type=Path, default=Path("runs/spreads"), help="folder of the runs")
    parser.add_argument("settings", nargs="*", metavar="key=value", help="settings of every run")
    options = parser.parse_intermixed_args()
    torch.set_num_threads(1)
    for names in options.methods:
        values, images = [], 0
        for seed in range(1, options.seeds + 1):
            value, images = accuracy(names, seed, options)
            values.append(value)
            print(f"{names} seed {seed}: {value:.2f}", flush=True)
        mean, spread = np.mean(values), np.std(values, ddof=1)
        chance = np.sqrt(mean * (100 - mean) / images)
        print(f"{names}: mean {mean:.2f}, spread {spread:.2f} over {len(values)} runs, ratio {spread / chance:.2f}")


if __name__ == "__main__":
    main()
