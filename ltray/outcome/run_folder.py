"""The folder that a run or a search leaves behind."""

import fcntl
import json
import os
import shutil
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from ltray.engine.checkpoint import metrics_of
from ltray.engine.loop import CHECKPOINT_SCORE
from ltray.errors import UsageError
from ltray.files import atomic_write

CONFIG, ENVIRONMENT, BEST, EVALUATION = "config.yaml", "env.json", "best", "evaluation.json"
HISTORY, LOCK = "history.jsonl", ".lock"
FOREIGN = "It was not written by this version of ltray.train or ltray.tune, or was changed since."
SCORES, TRIALS, IMPORTANCE = "selection.npz", "trials", "importance.csv"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a run folder, made if absent, against other commands.

    The lock is the process's own: it ends with it however it ends, and children do not inherit it.

    Raises:
        UsageError: Another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a+", encoding="utf-8") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            raise UsageError(
                f"{folder}: in use by {file.read().strip() or 'another process'}. Wait for it, end it, or name another "
                "folder with --output."
            ) from error
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield


def claim(
    folder: Path, config: Mapping[str, Any], environment: Mapping[str, Any], *, may_differ: tuple[str, ...]
) -> bool:
    """Take a folder for a run, or find the same run begun there.

    Args:
        folder: The run folder; made if absent.
        config: The resolved settings.
        environment: What `env.json` holds.
        may_differ: Top-level keys of `config` that a continued run may change.

    Returns:
        Whether the folder already held this run.

    Raises:
        UsageError: The folder holds a run with other settings.
    """
    known = read_config(folder)
    if known is None:
        folder.mkdir(parents=True, exist_ok=True)
        atomic_write(folder / ENVIRONMENT, json.dumps(environment, indent=2) + "\n")
    else:
        for key in sorted((config.keys() | known.keys()) - set(may_differ)):
            if config.get(key) != known.get(key):
                raise UsageError(
                    f"{folder}: holds a run with other settings: {_difference(known.get(key), config.get(key), key)}. "
                    "Name another folder with --output, or remove this one."
                )
    atomic_write(folder / CONFIG, yaml.safe_dump(dict(config), sort_keys=False))
    return known is not None


def read_config(folder: Path) -> dict[str, Any] | None:
    """Return a run folder's `config.yaml`, or None where there is none.

    Raises:
        UsageError: It is not what ltray writes.
    """
    path = folder / CONFIG
    if not path.is_file():
        return None
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: is no YAML: {' '.join(str(error).split())}. {FOREIGN}") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path}: holds no settings by name. {FOREIGN}")
    return content


def append_history(folder: Path, metrics: Mapping[str, Any]) -> None:
    """Add one epoch's metrics as a JSON line; an epoch that is run again after a crash stands twice."""
    with (folder / HISTORY).open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(dict(metrics)) + "\n")


def read_history(folder: Path) -> list[dict[str, Any]]:
    """Return the metrics of every epoch, each once; a line cut by a crash is left out."""
    epochs: dict[int, dict[str, Any]] = {}
    path = folder / HISTORY
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            metrics = json.loads(line)
        except json.JSONDecodeError:
            continue
        epochs[metrics["total_epochs"]] = metrics
    return [epochs[epoch] for epoch in sorted(epochs)]


def unrecorded(folder: Path) -> list[tuple[Path, dict[str, float]]]:
    """Return the whole checkpoints, oldest epoch first, whose epochs the history lacks: a killed driver saw none."""
    recorded = {row["total_epochs"] for row in read_history(folder)}
    return [item for item in whole_checkpoints(folder) if item[1]["total_epochs"] not in recorded]


def best_checkpoint(found: Iterable[tuple[Path, Mapping[str, float]]]) -> Path | None:
    """Return the folder with the highest score, of equals the earliest epoch; None of none.

    Args:
        found: Folders of whole checkpoints, each with its metrics.
    """
    best = max(found, key=lambda item: (item[1][CHECKPOINT_SCORE], -item[1]["total_epochs"]), default=None)
    return best[0] if best else None


def whole_checkpoints(folder: Path) -> list[tuple[Path, dict[str, float]]]:
    """Return the whole `checkpoint_*` of a folder with their metrics, oldest epoch first."""
    found = [(p, metrics) for p in folder.glob("checkpoint_*") if (metrics := metrics_of(p)) is not None]
    return sorted(found, key=lambda item: item[1]["total_epochs"])


def checkpoint_of(path: Path) -> Path:
    """Return the checkpoint that a run folder, or a checkpoint folder itself, stands for.

    Raises:
        UsageError: There is none.
    """
    for folder in (path, path / BEST):
        if metrics_of(folder) is not None:
            return folder
    best = best_checkpoint(whole_checkpoints(path))
    if best is None:
        raise UsageError(f"{path}: {'holds no checkpoint' if path.is_dir() else 'no such folder'}.")
    return best


def start_setting(run: Path | None) -> dict[str, str]:
    """Return the setting of `--from RUN`: the run's checkpoint; nothing where no run is named."""
    return {"start": str(checkpoint_of(run))} if run else {}


def read_evaluation(folder: Path) -> dict[str, Any] | None:
    """Return what `best/` says of its one test evaluation, or None where there is none yet."""
    path = folder / BEST / EVALUATION
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def keep_best(folder: Path, checkpoint: Path, evaluation: Mapping[str, Any], *, scores: Path | None = None) -> Path:
    """Copy a checkpoint to `best/` with its evaluation, replacing an earlier one as a whole.

    Args:
        folder: The run folder.
        checkpoint: The checkpoint's folder.
        evaluation: What `evaluation.json` is to hold.
        scores: A file of logits to be moved beside it.
    """
    fresh, target = folder / f"{BEST}.tmp", folder / BEST
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(checkpoint, fresh)
    if scores:
        shutil.move(scores, fresh / SCORES)
    atomic_write(fresh / EVALUATION, json.dumps(evaluation, indent=2) + "\n")
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)
    return target


def _difference(before: Any, after: Any, key: str) -> str:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                return _difference(before.get(name), after.get(name), name)
    return f"`{key}` is {before!r} there and {after!r} now"
