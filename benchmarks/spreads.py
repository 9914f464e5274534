"""How much runs with different seeds spread: measures the rows of `ltray/claims/spreads.json`.

    python -m benchmarks.spreads --dataset cifar10-lt --methods cross_entropy bcl --seeds 5 --epochs 4

Trains each method once a seed on the same images, with schedules shrunk to `--epochs`, evaluates
each best epoch on the test set once, and prints mean and spread (standard deviation) in points.
`--largest-class` cuts the long-tailed subset smaller, for machines without a GPU. Finished runs
below `--runs` are not repeated.
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

CPU = torch.device("cpu")


def accuracy(name: str, seed: int, options: argparse.Namespace) -> float:
    """Return the test accuracy of one run in points; train it, or what is left of it, first."""
    epochs, largest = options.epochs, options.largest_class
    folder = options.runs / options.dataset / f"{name}-{epochs}epochs-{largest or 'all'}" / f"seed{seed}"
    result = folder / "result.json"
    if not result.is_file():
        given = {"dataset": options.dataset, "dataset.largest_class": largest, "methods": [name], "seed": seed}
        experiment = Experiment.from_settings(given).shortened(epochs)
        experiment.train(FolderSession(folder), CPU)
        found = TrainedModel.open(checkpoint_of(folder), CPU).on_test().metrics()
        atomic_write(result, json.dumps(found) + "\n")
    return 100 * float(json.loads(result.read_text())["test/acc_all"])


def main() -> None:
    """Train what is missing, then print a line a method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="cifar10-lt")
    parser.add_argument("--methods", nargs="+", default=["cross_entropy"])
    parser.add_argument("--seeds", type=int, default=5, help="seeds 1, 2, … (default: 5)")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--largest-class", type=int, default=0, help="training images of the largest class; 0: all")
    parser.add_argument("--runs", type=Path, default=Path("runs/spreads"), help="where runs are kept")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.methods:
        values = []
        for seed in range(1, options.seeds + 1):
            values.append(accuracy(name, seed, options))
            print(f"{name} seed {seed}: {values[-1]:.2f}", flush=True)
        print(f"{name}: mean {np.mean(values):.2f}, spread {np.std(values, ddof=1):.2f} over {len(values)} runs")


if __name__ == "__main__":
    main()
