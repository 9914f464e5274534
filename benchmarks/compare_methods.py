"""Every method on a small long-tailed set, over several seeds; writes docs/comparison.md.

    python -m benchmarks.compare_methods                      # trains the missing runs, then writes the table
    python -m benchmarks.compare_methods --minutes 7          # starts no run after seven minutes; run it again

Each method trains with its declared settings for the data set. The epoch is selected on validation
images, and each run reads the test images once. A method that continues from a network starts from
the best checkpoint of another method's run with the same seed, see `STARTS`.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.comparison_table import written
from ltray.engine.checkpoint import Checkpoint
from ltray.experiment import Experiment
from ltray.files import atomic_write
from ltray.methods import METHODS
from ltray.provenance import environment
from ltray.results.folder_session import FolderSession
from ltray.results.predictions import TrainedModel
from ltray.run_folder import checkpoint_of

CPU = torch.device("cpu")
RESULT = "result.json"
STARTS = {name: "cross_entropy" for name, method in METHODS.items() if method.needs_network} | {
    "ride_distilled": "ride"
}
"""The preceding method of each method that continues from another."""


def run(name: str, *, dataset: str, seed: int, root: Path) -> None:
    """Train one method with one seed, or continue its run, and evaluate its best epoch on the test set once."""
    folder = root / name / f"seed{seed}"
    settings: dict[str, Any] = {"dataset": dataset, "methods": [name], "seed": seed}
    if name in STARTS:
        settings["start"] = str(checkpoint_of(root / STARTS[name] / f"seed{seed}"))
    experiment = Experiment.from_settings(settings)
    started = time.process_time()
    position = experiment.train(FolderSession(folder), CPU)
    test = TrainedModel.open(checkpoint_of(folder), CPU).on_test().metrics()
    best = Checkpoint.load(checkpoint_of(folder))
    stamps = environment(data_digest=str(best.context["data_digest"]), protocol=experiment.dataset.protocol)
    result = {
        "method": name,
        "start": STARTS.get(name, ""),
        "seed": seed,
        "epochs": position.total_epochs,
        "best_epoch": best.position.total_epochs,
        "cpu_seconds": time.process_time() - started,
        "validation": {key: value for key, value in best.metrics.items() if key.startswith("val/acc_")},
        "test": test,
        "environment": stamps,
        "settings": experiment.settings() | {"start": STARTS.get(name, "")},
    }
    atomic_write(folder / RESULT, json.dumps(result, indent=1) + "\n")


def main() -> None:
    """Train the missing runs, then write the table of all results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="digits-lt")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0, 1, … (default: 3)")
    parser.add_argument("--runs", type=Path, default=Path("runs/comparison"), help="folder of the runs")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start no run after this time")
    parser.add_argument("--table", type=Path, default=Path("docs/comparison.md"), help="file to write")
    options = parser.parse_args()
    end = time.monotonic() + 60.0 * options.minutes
    torch.set_num_threads(1)
    todo = [(seed, name) for seed in range(options.seeds) for name in sorted(METHODS, key=lambda name: name in STARTS)]
    for done, (seed, name) in enumerate(todo):
        result = options.runs / name / f"seed{seed}" / RESULT
        if not result.is_file():
            if time.monotonic() > end:
                print(f"{done} of {len(todo)} runs are done: run the same command again for the rest")
                return
            run(name, dataset=options.dataset, seed=seed, root=options.runs)
        known = json.loads(result.read_text())
        print(f"{name} seed {seed}: validation {100 * known['validation']['val/acc_all']:.1f} %", flush=True)
    results = [json.loads((options.runs / name / f"seed{seed}" / RESULT).read_text()) for seed, name in todo]
    atomic_write(options.table, written(results, dataset=options.dataset))


if __name__ == "__main__":
    main()
