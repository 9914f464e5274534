"""Estimated and true CPU seconds of runs: the estimate of a dry run, from a few steps, and the training command.

    python -m benchmarks.cost [--run NAME …] [--scale 1.0]

A line for each run: CPU seconds of the estimate and of the command with all its processes, and their ratio. The
estimate is that of `ltray.study.cost.measure`, as in `ltray tune --dry-run` and `ltray reproduce --list --time`.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ltray.experiment import Experiment
from ltray.following import TrainingSize
from ltray.study.cost import measure

CPU = torch.device("cpu")
RUNS: Mapping[str, dict[str, Any]] = {
    "cross-entropy, digits": {"dataset": "digits-lt", "methods": ["cross_entropy"], "epochs": 30},
    "rescom, digits": {"dataset": "digits-lt", "methods": ["rescom"], "epochs": 20},
    "focal, cifar100-lt": {"dataset": "cifar100-lt", "methods": ["focal"], "epochs": 1, "largest_class": 200},
    "bcl, cifar100-lt": {"dataset": "cifar100-lt", "methods": ["bcl"], "epochs": 1, "largest_class": 100},
    "ride, cifar10-lt": {"dataset": "cifar10-lt", "methods": ["ride"], "epochs": 1, "largest_class": 500},
    "cross-entropy + crt, cifar10-lt": {
        "dataset": "cifar10-lt",
        "methods": ["cross_entropy", "crt"],
        "epochs": 1,
        "largest_class": 500,
    },
}
"""Different methods, numbers of views, stages, image sizes, and shares of start-up and evaluation."""


def settings_of(run: Mapping[str, Any], scale: float) -> dict[str, Any]:
    """Return the settings of a run in addition to the data set and the methods.

    Args:
        run: An entry of `RUNS`.
        scale: Factor of its number of epochs.
    """
    epochs = max(1, round(scale * run["epochs"]))
    found: dict[str, Any] = {f"{method}.epochs": epochs for method in run["methods"]}
    return found | ({"dataset.largest_class": run["largest_class"]} if "largest_class" in run else {})


def estimated(run: Mapping[str, Any], scale: float) -> float:
    """Return the estimated CPU seconds of the command that trains a run."""
    torch.set_num_threads(1)
    given = {"dataset": run["dataset"], "methods": run["methods"]} | settings_of(run, scale)
    experiment = Experiment.from_settings(given)
    data = experiment.opened(CPU)
    suited = experiment.following(TrainingSize.of(data.tail))
    return measure(suited, data, CPU).command_seconds


def true(run: Mapping[str, Any], scale: float) -> float:
    """Train a run with the command, and return the CPU seconds of its processes."""
    words = [f"{key}={value}" for key, value in settings_of(run, scale).items()]
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "ltray.train",
            "--dataset",
            run["dataset"],
            "--output",
            str(Path(folder, "run")),
        ]
        before = _of_children()
        subprocess.run(
            [*command, "--methods", *run["methods"], *words],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        return _of_children() - before


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Print a row for each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", nargs="+", choices=RUNS, default=list(RUNS), metavar="NAME", help="keys of RUNS")
    parser.add_argument("--scale", type=float, default=1.0, help="factor of the number of epochs (default: 1)")
    options = parser.parse_args()
    print("| run | estimated, CPU s | true, CPU s | ratio |\n|---|---:|---:|---:|")
    for name in options.run:
        expected, found = estimated(RUNS[name], options.scale), true(RUNS[name], options.scale)
        print(f"| {name} | {expected:.1f} | {found:.1f} | {expected / found:.2f} |", flush=True)


if __name__ == "__main__":
    main()
