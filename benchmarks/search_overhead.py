"""The overhead of a search compared with its training: `python -m benchmarks.search_overhead`.

    python -m benchmarks.search_overhead [--trials 32] [--seconds 30] [--cpus 2]

The same trials run twice, one after the other with `--cpus` threads each: in a simple loop (one process, data opened
once, the engine without reports) and as `python -m ltray.tune` with its processes, checkpoints, study and tables; no
trial is stopped early. Printed: the wall-clock time of both, separately the start and the end of the search, and the
time of a trial from its placement to its first step, in a new process and in one that has trained a trial before.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ltray.engine.memory_session import MemorySession
from ltray.experiment import Experiment

SPACE = """
dataset: digits-lt
methods: [rescom]
explore:
  rescom.learning_rate: {{from: 0.01, to: 0.1, log: true}}
fix: {{rescom.epochs: {epochs}, rescom.schedule: cosine}}
search: {{sampler: random, trials: {trials}}}
stop: {{rule: none}}
trial: {{cpus_per_worker: {cpus}}}
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=30.0, help="approximate duration of one trial")
    parser.add_argument(
        "--cpus", type=int, default=2, help="cores of a trial; with all cores, trials run one after the other"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.cpus)
    bare(4)  # warm: imports, decoded images
    epochs = max(round(options.seconds / (bare(10) / 10)), 2)
    print(f"{options.trials} trials of {epochs} epochs, {options.cpus} threads", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        search, started, ended, rows = searched(Path(folder), options, epochs)
    loops = [bare(epochs, row["settings"]) for row in rows]
    trials = ended - started
    print(f"training loops, sum      {sum(loops):8.1f} s   ({statistics.median(loops):.1f} s each)")
    print(f"search, first to last    {trials:8.1f} s   ({100 * (trials / sum(loops) - 1):+.1f} %)")
    print(f"search, complete command {search:8.1f} s   ({100 * (search / sum(loops) - 1):+.1f} %)")
    for fresh, name in ((True, "new process"), (False, "reused process")):
        waits = [row["first_step"] for row in rows if row["fresh"] == fresh]
        if waits:
            print(f"first step, {name:<20} {statistics.median(waits):5.2f} s median of {len(waits)}")


def bare(epochs: int, settings: Mapping[str, Any] | None = None) -> float:
    """Train in this process without reports; return the seconds."""
    base = {"dataset": "digits-lt", "methods": ["rescom"], "rescom.epochs": epochs, "rescom.schedule": "cosine"}
    started = time.perf_counter()
    Experiment.from_settings(settings or base).train(MemorySession(), torch.device("cpu"))
    return time.perf_counter() - started


def searched(
    folder: Path, options: argparse.Namespace, epochs: int
) -> tuple[float, float, float, list[dict[str, Any]]]:
    """Run the search; return its seconds, when its first trial began and its last ended, and a row per trial."""
    (folder / "space.yaml").write_text(SPACE.format(epochs=epochs, trials=options.trials, cpus=options.cpus))
    command = [sys.executable, "-m", "ltray.tune", str(folder / "space.yaml"), "--output", str(folder / "run")]
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - began
    rows, seen = [], set()
    for path in sorted((folder / "run" / "trials").glob("*/result.json")):
        results = [json.loads(line) for line in path.read_text().splitlines()]
        later = statistics.median(r["time_this_iter_s"] for r in results[1:])
        first, pid = results[0], (results[0]["hostname"], results[0]["pid"])
        rows.append(
            {
                "settings": first["config"]["settings"],
                "fresh": pid not in seen,
                "first_step": first["time_this_iter_s"] - later,
                "started": first["timestamp"] - first["time_this_iter_s"],
                "ended": results[-1]["timestamp"],
            }
        )
        seen.add(pid)
    return seconds, min(row["started"] for row in rows), max(row["ended"] for row in rows), rows


if __name__ == "__main__":
    main()
