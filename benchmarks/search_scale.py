"""The cost of proposals, records and decisions in the driver of a large search, without training.

    python -m benchmarks.search_scale [--trials 1000] [--nodes 100] [--sampler tpe]

The parts of a search's driver (study in SQLite, sampler, successive halving, progress with its TensorBoard files,
budget) are called as by Tune, for trials without training: one per node, with random curves. Printed for every tenth of
the trials: milliseconds of a proposal, a report, a decision, an end and the progress, memory, and the number of trials
per second that this driver could start and end. Times are CPU times of the process, so that the load of the machine has
no effect; the wall-clock time at the end includes waiting for the disk, once or twice per proposal, report and end.
"""

import argparse
import io
import random
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from ltray.metrics import CHECKPOINT_SCORE, PLANNED_EPOCHS
from ltray.on_ray.callbacks.budget import BudgetCallback
from ltray.on_ray.callbacks.progress import ProgressCallback
from ltray.on_ray.scheduler import EPOCHS, RuleScheduler
from ltray.on_ray.searcher import StudySearch
from ltray.on_ray.shutdown import GracefulStopper
from ltray.on_ray.tasks import TASK
from ltray.space.search_space import SearchSpace
from ltray.strategies.stopping_rules import SuccessiveHalving
from ltray.study.study import open_study

METRIC, LENGTH = "val/acc_all", 20


@dataclass
class SimulatedTrial:
    """The attributes of a trial of Tune that the driver's parts use."""

    trial_id: str
    config: dict[str, Any]
    path: str
    epoch: int = 0
    last_result: dict[str, Any] = field(default_factory=dict)


class Clock:
    """Sums the seconds of named parts."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Reset the sums."""
        self.seconds: dict[str, float] = {}
        self.calls: dict[str, int] = {}

    def time(self, name: str, call: Any, *arguments: Any) -> Any:
        """Call, and add the duration."""
        started = time.process_time()
        result = call(*arguments)
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - started
        self.calls[name] = self.calls.get(name, 0) + 1
        return result

    def milliseconds(self, name: str) -> float:
        """Return the mean of a part."""
        return 1000 * self.seconds.get(name, 0.0) / max(self.calls.get(name, 0), 1)


class Driver:
    """A search's driver with simulated trials."""

    def __init__(self, folder: Path, trials: int, sampler: str) -> None:
        self.folder, self.clock = folder, Clock()
        overrides = {"epochs": LENGTH, "search.trials": trials, "search.sampler": sampler}
        space = SearchSpace.read(Path("search_spaces/rescom.yaml"), overrides).bind(100)
        study, stopper = open_study(folder, space), GracefulStopper()
        self.searcher = StudySearch(study, space, metric=METRIC, trials=trials, stopper=stopper)
        self.scheduler = RuleScheduler(SuccessiveHalving(rungs=(2, 6, 18), keep_one_in=3), metric=METRIC, recorded={})
        console = Console(file=io.StringIO())
        watch = ProgressCallback(
            console, space.headings(), metric=METRIC, trials=trials, done=0, best=None, stopper=stopper
        )
        meter = BudgetCallback(folder, stopper, budget=None, each={"CPU": 1.0}, started=time.monotonic())
        self.callbacks = [watch, meter]
        self.chance = random.Random(0)

    def begin(self) -> SimulatedTrial | None:
        """Propose a trial and place it."""
        name = f"{self.chance.getrandbits(32):08x}"
        config = self.clock.time("proposal", self.searcher.suggest, name)
        if not isinstance(config, dict):
            return None
        trial = SimulatedTrial(name, config, str(self.folder / "trials" / config[TASK].name))
        self.scheduler.on_trial_add(None, trial)
        self.clock.time("watch", self._tell, "on_trial_start", trial)
        return trial

    def epoch(self, trial: SimulatedTrial) -> bool:
        """Report a trial's next epoch; return whether the trial continues."""
        trial.epoch += 1
        value = 1 - 0.9**trial.epoch + self.chance.gauss(0, 0.1)
        result: dict[str, Any] = {
            EPOCHS: trial.epoch,
            PLANNED_EPOCHS: LENGTH,
            METRIC: value,
            "loss/total": 1.0,
            "stage": 0,
        }
        result |= {f"{METRIC}_best": value, CHECKPOINT_SCORE: value}
        decision = self.clock.time("decision", self.scheduler.on_trial_result, None, trial, result)
        if decision == "CONTINUE" and trial.epoch < LENGTH:
            self.clock.time("report", self.searcher.on_trial_result, trial.trial_id, result)
        else:
            self.scheduler.on_trial_complete(None, trial, result)
            self.clock.time("end", self.searcher.on_trial_complete, trial.trial_id, result)
            result["done"] = True
        trial.last_result = result
        self.clock.time("watch", self._tell, "on_trial_result", trial, result)
        if "done" in result:
            self.clock.time("watch", self._tell, "on_trial_complete", trial)
        return "done" not in result

    def _tell(self, event: str, trial: SimulatedTrial, result: dict[str, Any] | None = None) -> None:
        extra = {} if result is None else {"result": result}
        for callback in self.callbacks:
            getattr(callback, event)(iteration=0, trials=[], trial=trial, **extra)
            callback.on_step_end(iteration=0, trials=[])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--sampler", default="tpe")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        driver = Driver(Path(folder), options.trials, options.sampler)
        print("trials  proposal  report  decision  end  progress (ms)  memory  trials/s", flush=True)
        running = [trial for _ in range(options.nodes) if (trial := driver.begin())]
        ended, mark, began = 0, time.process_time(), time.perf_counter()
        while running:
            place = driver.chance.randrange(len(running))
            if driver.epoch(running[place]):
                continue
            ended += 1
            new = driver.begin()
            running[place : place + 1] = [new] if new else []
            if ended % max(options.trials // 10, 1) == 0:
                now, parts = time.process_time(), ("proposal", "report", "decision", "end", "watch")
                times = "  ".join(f"{driver.clock.milliseconds(part):6.1f}" for part in parts)
                memory = psutil.Process().memory_info().rss >> 20
                rate = options.trials // 10 / (now - mark)
                print(f"{ended:6d}  {times}  {memory} MiB  {rate:.2f}", flush=True)
                driver.clock.clear()
                mark = time.process_time()
        size = (Path(folder) / "study.sqlite3").stat().st_size
        print(f"study.sqlite3: {size / 2**20:.1f} MiB; wall clock {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
