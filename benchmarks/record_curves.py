"""Record learning curves of a task's settings and seeds; the runs that are missing are trained, so it can be repeated.

    python -m benchmarks.record_curves digits-ldam --minutes 10

CIFAR is read from the Parquet files in $LTRAY_SHARED_DATA.
"""

import argparse
import time
from pathlib import Path

import torch

from benchmarks.recorded import heads, training
from benchmarks.recorded.tables import Curves, write_settings
from benchmarks.recorded.tasks import HERE, TASKS, Task
from ltray.experiment import Experiment
from ltray.provenance import environment


def record(task: Task, folder: Path, *, minutes: float) -> int:
    """Record the runs that are missing until the time is over; return the number of runs left.

    Args:
        task: The task.
        folder: The folder of the files.
        minutes: No run starts after this time.
    """
    deadline = time.monotonic() + 60 * minutes
    curves, settings = Curves.read(task.name, folder), task.draw(task.settings)
    keys = [dimension.key for dimension in task.space().dimensions]
    write_settings(task.name, [{key: one[key] for key in keys} for one in settings], folder)
    wanted = [(setting, seed) for setting in range(task.settings) for seed in task.seeds]
    left = [run for run in wanted if run not in curves.values]
    if not left:
        return 0
    data = Experiment.from_settings(settings[0]).open_data(torch.device("cpu"))
    stamp = environment(data_digest=data.digest, protocol="honest")
    # Options do not change a curve, and their paths are of this machine.
    curves.provenance.append({"command": f"python -m benchmarks.record_curves {task.name}"} | stamp)
    while left and time.monotonic() < deadline:
        if task.pretrained:
            seed = left[0][1]
            together = [setting for setting, other in left if other == seed]
            found = heads.curves([settings[setting] for setting in together], seed)
            curves.values |= {(setting, seed): found[index] for index, setting in enumerate(together)}
        else:
            setting, seed = left[0]
            curves.values[setting, seed] = training.curve(settings[setting], seed)
        curves.write(folder)
        left = [run for run in left if run not in curves.values]
        print(f"{task.name}: {len(left)} runs left", flush=True)
    return len(left)


def main() -> None:
    """Record one task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--minutes", type=float, default=60.0, help="start no run after this time")
    parser.add_argument("--folder", type=Path, default=HERE, help="folder of the recorded files")
    options = parser.parse_args()
    torch.set_num_threads(1)
    left = record(TASKS[options.task], options.folder, minutes=options.minutes)
    print(f"{left} runs left")


if __name__ == "__main__":
    main()
