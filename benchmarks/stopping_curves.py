"""Learning curves of real runs, recorded once: the data of `benchmarks.stopping`."""

import json
import multiprocessing
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import optuna
import torch

from ltray.data.dataset import ImageData
from ltray.engine.checkpoint import Checkpoint
from ltray.engine.evaluation import evaluate
from ltray.engine.loop import train
from ltray.engine.train_step import NotFinite
from ltray.experiment import Experiment
from ltray.provenance import environment
from ltray.space.search_space import SearchSpace
from ltray.stage import Stage

HERE = Path(__file__).parent
FILE = HERE / "stopping-curves.jsonl"
CPU = torch.device("cpu")
SETS = ("digits", "cifar10")
# For each set: number of settings with both schedules and short runs, and with the cosine schedule only.
EXTENT = {"digits": (16, 120), "cifar10": (8, 8)}


@dataclass(frozen=True)
class Job:
    """One run to record.

    Attributes:
        set: A key of SETS.
        setting: Index of the setting, in the order of the draws.
        schedule: Learning-rate schedule.
        epochs: Length of the run; its schedule is scaled to it.
    """

    set: str
    setting: int
    schedule: str
    epochs: int


@dataclass(frozen=True)
class Curve:
    """The curves of a run: correct validation images after each epoch; shorter than `epochs` if a loss was NaN.

    Attributes:
        job: The run.
        live: Curve of the current weights.
        average: Curve of their moving average.
        seconds: CPU time.
    """

    job: Job
    live: Sequence[int]
    average: Sequence[int]
    seconds: float


def space_of(name: str) -> SearchSpace:
    """Return the search space from which a set's settings were drawn."""
    space = SearchSpace.read(HERE / f"stopping-{name}.yaml")
    return space.bind(classes=10)


def settings_of(space: SearchSpace, count: int) -> list[dict[str, Any]]:
    """Return the first `count` settings drawn at random from a space; they are always the same."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=space.search.seed))
    return [space.suggest(study.ask()) for _ in range(count)]


def jobs(name: str) -> Iterator[Job]:
    """Yield the runs of a set, the most important runs first."""
    full = space_of(name).base.knobs[0].epochs
    both, cosine = EXTENT[name]
    for setting in range(both):
        for schedule in ("cosine", "step"):
            short = (full // 4, full // 2) if schedule == "cosine" or name == "digits" else ()
            for epochs in (full, *short):
                yield Job(name, setting, schedule, epochs)
    for setting in range(both, cosine):
        yield Job(name, setting, "cosine", full)


def record(name: str, path: Path, *, minutes: float, processes: int) -> int:
    """Record a set's missing runs until the time is over; return the number of runs left.

    Args:
        name: The set.
        path: The file of curves; each run is one line, appended when the run is complete.
        minutes: No run starts after this time.
        processes: Number of parallel runs, one thread each.
    """
    deadline = time.monotonic() + 60 * minutes
    done = {curve.job for curve in read(path)} if path.exists() else set()
    left = [job for job in jobs(name) if job not in done]
    running: set[Future[Curve]] = set()
    context = multiprocessing.get_context("spawn")
    with (
        path.open("a", encoding="utf-8") as lines,
        ProcessPoolExecutor(processes, context, initializer=torch.set_num_threads, initargs=(1,)) as pool,
    ):
        protocol = space_of(name).base.dataset.protocol
        stamp = environment(data_digest=_opened(name)[1].digest, protocol=protocol)
        lines.write(json.dumps({"set": name, "threads": 1, "processes": processes} | stamp) + "\n")
        while running or (left and time.monotonic() < deadline):
            while left and len(running) < processes and time.monotonic() < deadline:
                running.add(pool.submit(run, left.pop(0)))
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            for curve in (future.result() for future in ended):
                lines.write(json.dumps(asdict(curve)) + "\n")
                lines.flush()
                print(f"{curve.job}: {curve.live[-1:]} {curve.average[-1:]}, {curve.seconds:.0f} s", flush=True)
    return len(left)


@cache
def _opened(name: str) -> tuple[list[dict[str, Any]], ImageData]:
    """Return a set's settings and its data, drawn and opened once per process."""
    space = space_of(name)
    return settings_of(space, EXTENT[name][1]), Experiment.open_data(space.base, CPU)


def run(job: Job) -> Curve:
    """Train one run, evaluating both kinds of weights after every epoch."""
    every, data = _opened(job.set)
    settings = every[job.setting]
    started = time.process_time()
    schedule = {f"{settings['methods'][0]}.schedule": job.schedule}
    experiment = Experiment.from_settings(dict(settings) | schedule).shortened(job.epochs)
    stages = experiment.stages(data.tail)
    session = _BothWeights(stages[0], data)
    try:
        train(stages, data, session, experiment.run(CPU, data))
    except NotFinite:
        pass  # the curve ends with the first loss that is not finite
    return Curve(job, session.live, session.average, round(time.process_time() - started, 1))


class _BothWeights:
    """Counts the correct images with the current weights and, from the report, with their average."""

    def __init__(self, stage: Stage, data: ImageData) -> None:
        self.live: list[int] = []
        self.average: list[int] = []
        self._stage, self._data = stage, data

    def resume(self) -> None:
        """Start from scratch."""

    def report(self, metrics: Mapping[str, float], checkpoint: Checkpoint) -> None:
        """Count."""
        found = evaluate(self._stage, self._data.selection(), classes=self._data.tail.classes, device=CPU)
        self.live.append(int(found.correct.sum()))
        self.average.append(round(metrics["val/acc_all"] * int(found.seen.sum())))


def read(path: Path = FILE) -> list[Curve]:
    """Return the recorded curves."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [Curve(Job(**row.pop("job")), **row) for row in rows if "job" in row]
