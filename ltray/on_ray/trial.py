"""One trial of a search: in its own process, or as a nested Ray Train run of several workers."""

import math
import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import ray.tune
import torch

from ltray.errors import UsageError
from ltray.files import writing
from ltray.on_ray.last_line import last_line
from ltray.on_ray.session import FAILURE, RaySession, train_and_report
from ltray.on_ray.tries import INTERRUPTED
from ltray.on_ray.workers import run_workers
from ltray.run_folder import whole_checkpoints


def trial_folder_name(number: int, attempt: int) -> str:
    """Name the folder of a trial: `0007`, or `0007.1` where the search was resumed once."""
    return f"{number:04d}" + (f".{attempt}" if attempt else "")


def attempts(trials: Path, number: int) -> list[Path]:
    """Return the folders of a trial, oldest first."""
    found = [trials / trial_folder_name(number, 0), *trials.glob(f"{number:04d}.*")]
    return sorted((p for p in found if p.is_dir()), key=lambda p: int(p.suffix[1:] or 0))


def workers_folder(run: Path, number: int) -> Path:
    """Return where a trial of several workers keeps what Ray Train writes while it runs."""
    return run / "workers" / f"{number:04d}"


def checkpoints(trials: Path, number: int) -> list[tuple[Path, dict[str, float]]]:
    """Return a trial's whole checkpoints with their metrics, oldest epoch first."""
    found = [item for attempt in attempts(trials, number) for item in whole_checkpoints(attempt)]
    return sorted(found, key=lambda item: item[1]["total_epochs"])


def copies_folder(trials: Path, number: int) -> Path:
    """Return where the checkpoints lie that a member of a population copied."""
    return trials.parent / "copies" / f"{number:04d}"


def resumable(trials: Path, number: int) -> list[tuple[Path, dict[str, float]]]:
    """Return the checkpoints that a trial can go on from, the one to take last."""
    found = checkpoints(trials, number) + whole_checkpoints(copies_folder(trials, number))
    return sorted(found, key=lambda item: item[1]["total_epochs"])


def run_trial(config: Mapping[str, Any]) -> None:
    """Train one trial from its newest checkpoint, reporting every epoch to Tune.

    Args:
        config: "number" of the trial, its "settings", the "trials" folder, the "folder" to
            work in, "workers", "resources" of each, "retries", the "pins" of the data, and the "runs"
            of a trial of several, or None.
    """
    os.chdir(config["folder"])
    if config["workers"] == 1:
        _alone(config)
    else:
        _with_workers(config)


def _alone(config: Mapping[str, Any]) -> None:
    torch.set_num_threads(max(int(config["resources"]["CPU"]), 1))
    device = torch.device("cuda" if "GPU" in config["resources"] else "cpu")
    known = resumable(Path(config["trials"]), config["number"])
    if ray.tune.get_checkpoint() is None:
        _report_again(known[-1:])
    session = RaySession(ray.tune, known[-1][0] if known else None, Path(config["trials"]), raises=False)
    train_and_report(config["settings"], session, device, pins=config["pins"], runs=config["runs"])


def _with_workers(config: Mapping[str, Any]) -> None:
    trials, number = Path(config["trials"]), config["number"]
    folder = workers_folder(trials.parent, number)
    known = resumable(trials, number)[-1:]
    # The newest may not have reached Tune's folder when the driver died.
    reported = known[0][1]["total_epochs"] if known else 0
    known += [item for item in whole_checkpoints(folder) if item[1]["total_epochs"] > reported]
    survived: list[str] = []
    reports = run_workers(
        dict(config["settings"]),
        count=config["workers"],
        resources=dict(config["resources"]),
        folder=folder,
        retries=config["retries"],
        pins=config["pins"],
        runs=config["runs"],
        earlier=known[-1][0] if known else None,
        tell=survived.append,
    )
    try:
        _report_again(known)
        with closing(reports), writing(trials):
            for metrics, path in reports:
                checkpoint = ray.tune.Checkpoint.from_directory(str(path)) if path else None
                if survived:  # this process's output reaches nobody
                    metrics |= {INTERRUPTED: "; ".join(survived)}
                    survived.clear()
                ray.tune.report(metrics, checkpoint=checkpoint)  # does not return where Tune stops the trial
    except UsageError as error:
        ray.tune.report({FAILURE: str(error)})
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # Tune has copies of all that was reported


def _report_again(known: Iterable[tuple[Path, Mapping[str, float]]]) -> None:
    """Report what an earlier driver may have died before it saw; the study takes every epoch once."""
    for path, metrics in known:
        ray.tune.report(dict(metrics), checkpoint=ray.tune.Checkpoint.from_directory(str(path)))


def is_finite(value: Any) -> bool:
    """Return whether a reported metric can be compared."""
    return isinstance(value, int | float) and math.isfinite(value)


def error_of(trial: Any) -> str:
    """Return why a trial failed, in one line, from the error file of Tune's trial."""
    try:
        words = Path(trial.error_file).read_text(encoding="utf-8", errors="replace")
    except (OSError, TypeError):
        words = ""
    return last_line(words)


def failure_of(result: Mapping[str, Any] | None) -> str | None:
    """Return why a trial says that it cannot go on, or None."""
    return None if result is None else result.get(FAILURE)
