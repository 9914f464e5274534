"""The folder that a run or a search leaves behind."""

import fcntl
import os
import shutil
import socket
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from ltray.engine.checkpoint import FILE_NAME, SUMMARY_NAME, check_weights_digest, metrics_of
from ltray.errors import UsageError
from ltray.files import is_there, locking, read_text, reading
from ltray.given_files import at_new_places, reconciled
from ltray.metrics import CHECKPOINT_SCORE
from ltray.printable import printable
from ltray.seal import LIST, append_sealed, check_listed, read_lines, read_sealed, write_listed, write_sealed

CONFIG, ENVIRONMENT, BEST, EVALUATION = "config.yaml", "env.json", "best", "evaluation.json"
HISTORY, LOCK = "history.jsonl", ".lock"
LAST_EPOCH = "last_epoch"  # in `evaluation.json`: the last line that the history has
FOREIGN = "It was not written by this version of ltray.train or ltray.tune, or was changed later."
SCORES, TRIALS, IMPORTANCE, TEST_READS = "selection.npz", "trials", "importance.csv", "test_reads.json"
SYSTEM_FILES = (".DS_Store", "._*", "Thumbs.db", "desktop.ini", ".nfs*", ".directory", "@eaDir")
"""What file systems and file managers leave in a folder; it holds nothing of the user's."""
_BEST_FILES = (FILE_NAME, SUMMARY_NAME, EVALUATION, SCORES, TEST_READS, LIST, *SYSTEM_FILES)
_SCRATCH = ".ltray-"  # begins the names of folders that a killed command may leave


def trial_name(number: int) -> str:
    """Return how folders and tables call a trial of a search: `0007`."""
    return f"{number:04d}"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a run folder, made if absent, against other commands.

    The lock is the process's own: it ends with it however it ends, and children do not inherit it.

    Raises:
        UsageError: Another process holds it, or its file system has no locks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a+", encoding="utf-8") as file:
        try:
            with locking(folder / LOCK):
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            raise UsageError(
                f"{folder}: in use by {file.read().strip() or 'another process'}. Wait until it ends, end it, or use "
                "another folder with --output."
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
        environment: What `env.json` holds; where the data's digest is the same, their places may differ.
        may_differ: Top-level keys of `config` that a continued run may change.

    Returns:
        Whether the folder already held this run.

    Raises:
        UsageError: The folder holds a run with other settings, or one that was given other files.
    """
    known = read_config(folder)
    if known is None:
        folder.mkdir(parents=True, exist_ok=True)
        write_sealed(folder / ENVIRONMENT, environment)
    elif "settings" not in known:
        raise UsageError(f"{printable(folder / CONFIG)}: lacks `settings`. {FOREIGN} Use another folder with --output.")
    else:
        there, config = reconciled(folder, known, config)
        digest = (read_environment(folder) or {}).get("data_digest")
        if digest and digest == environment.get("data_digest"):
            there = at_new_places(there, config)
        for key in sorted((config.keys() | there.keys()) - set(may_differ)):
            if config.get(key) != there.get(key):
                raise UsageError(
                    f"{folder}: contains a run with different settings: "
                    f"{_difference(there.get(key), config.get(key), key)}. Use another folder with --output, or "
                    "remove this one."
                )
    write_listed(folder / CONFIG, yaml.safe_dump(dict(config), sort_keys=False))
    return known is not None


def read_config(folder: Path) -> dict[str, Any] | None:
    """Return a run folder's `config.yaml`, or None where there is none.

    Raises:
        UsageError: It is not what ltray writes.
    """
    path = folder / CONFIG
    if not is_there(path):
        return None
    check_listed(path)
    text = read_text(path)
    with reading(path, "not valid YAML"):
        content = yaml.safe_load(text)
    if not isinstance(content, dict):
        raise UsageError(f"{printable(path)}: has no `key: value` settings. {FOREIGN}")
    return content


def read_environment(folder: Path) -> dict[str, Any] | None:
    """Return a run folder's `env.json`, or None where there is none.

    Raises:
        UsageError: It is damaged.
    """
    path = folder / ENVIRONMENT
    return read_sealed(path) if is_there(path) else None


def append_history(folder: Path, metrics: Mapping[str, Any]) -> None:
    """Add one epoch's metrics as a JSON line; an epoch that is run again after a crash has two lines."""
    append_sealed(folder / HISTORY, metrics)


def read_history(folder: Path) -> list[dict[str, Any]]:
    """Return the metrics of every epoch, each once; a line cut by a crash is left out.

    Raises:
        UsageError: A line is damaged.
    """
    epochs: dict[int, dict[str, Any]] = {}
    for number, metrics in enumerate(read_lines(folder / HISTORY), start=1):
        if not isinstance(metrics.get("total_epochs"), int):
            raise UsageError(f"{printable(folder / HISTORY)}:{number}: lacks `total_epochs`. {FOREIGN}")
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


def check_newest(found: Sequence[tuple[Path, Mapping[str, float]]]) -> None:
    """Compare the checkpoint that a run goes on from with its digest, before workers are started for it.

    Args:
        found: Complete checkpoints, oldest epoch first.

    Raises:
        UsageError: The newest one is damaged.
    """
    if found:
        check_weights_digest(found[-1][0])


def checkpoint_of(path: Path) -> Path:
    """Return the checkpoint that a run folder, or a checkpoint folder itself, stands for.

    Of a run it is the one in `best/`, and before there is any the best one of its epochs.

    Raises:
        UsageError: There is none, or the best one is damaged or missing: another one would give other numbers.
    """
    for folder in (path, path / BEST):
        if (folder.name == BEST and folder.is_dir()) or any((folder / n).exists() for n in (FILE_NAME, SUMMARY_NAME)):
            if metrics_of(folder) is None:
                raise UsageError(f"{printable(folder)}: its checkpoint is incomplete: {_others(path)}.")
            return folder
    best = complete_best(path, whole_checkpoints(path), read_history(path))
    if best is None:
        raise UsageError(f"{printable(path)}: {'holds no checkpoint' if path.is_dir() else 'no such folder'}.")
    return best


def complete_best(
    path: Path, found: Sequence[tuple[Path, Mapping[str, float]]], epochs: Iterable[Mapping[str, float]]
) -> Path | None:
    """Return the best checkpoint, or None of none; refuse one that is only the best of those that are left.

    Args:
        path: Where the checkpoints are, for the error.
        found: Complete checkpoints, each with its metrics.
        epochs: What was reported of every epoch.

    Raises:
        UsageError: A better epoch was reported, whose checkpoint is incomplete or missing.
    """
    best = best_checkpoint(found)
    score = dict(found)[best][CHECKPOINT_SCORE] if best else -1.0
    kept = {metrics["total_epochs"] for _, metrics in found}
    for epoch in epochs:
        if epoch.get(CHECKPOINT_SCORE, -1.0) > score and epoch["total_epochs"] not in kept:
            raise UsageError(
                f"{printable(path)}: the checkpoint of the best epoch, {epoch['total_epochs']:g}, is incomplete or "
                f"missing: {_others(path)}."
            )
    return best


def _others(path: Path) -> str:
    """Return what can be done about a checkpoint that is not complete."""
    left = [found.name for found, _ in whole_checkpoints(path)]
    use = f", or use one of the complete checkpoints: {', '.join(left)}" if left else ""
    return f"restore it from a copy{use}"


def start_setting(run: Path | None) -> dict[str, str]:
    """Return the setting of `--from RUN`: the run's checkpoint; nothing where no run is named."""
    return {"start": str(checkpoint_of(run).resolve())} if run else {}


def read_evaluation(folder: Path) -> dict[str, Any] | None:
    """Return what `best/` holds of its one test evaluation, or None where there is none yet.

    Raises:
        UsageError: It is damaged.
    """
    path = folder / BEST / EVALUATION
    return evaluation_at(path) if is_there(path) else None


def evaluation_at(path: Path) -> dict[str, Any]:
    """Read an `evaluation.json`.

    Raises:
        UsageError: It is damaged, or not what ltray writes.
    """
    found = read_sealed(path)
    for name in ("metrics", "selection", "settings"):
        if not isinstance(found.get(name), dict):
            raise UsageError(f"{printable(path)}: lacks `{name}`. {FOREIGN}")
    return found


def keep_best(folder: Path, checkpoint: Path, evaluation: Mapping[str, Any], *, scores: bytes | None = None) -> Path:
    """Copy a checkpoint to `best/` with its evaluation, replacing an earlier one as a whole.

    Args:
        folder: The run folder.
        checkpoint: The checkpoint's folder.
        evaluation: What `evaluation.json` is to hold.
        scores: The content of `selection.npz`: its validation logits.

    Raises:
        UsageError: `best/` holds what was not written here.
    """
    check_best_is_ours(folder)
    target = folder / BEST
    with scratch(folder) as room:
        fresh = room / BEST
        shutil.copytree(checkpoint, fresh)
        if scores:
            write_listed(fresh / SCORES, scores)
        write_sealed(fresh / EVALUATION, evaluation)
        if target.exists():
            target.rename(room / "before")
        fresh.rename(target)
    return target


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """Make a temporary folder inside a run folder; those that killed commands left there are removed."""
    for left in folder.glob(f"{_SCRATCH}*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=folder) as room:
        yield Path(room)


def check_best_is_ours(folder: Path) -> None:
    """Refuse a `best/` that cannot be replaced because it holds something else than a model that ltray has kept.

    Raises:
        UsageError: It is no folder, has no `evaluation.json`, or holds other files.
    """
    target = folder / BEST
    if not os.path.lexists(target):
        return
    remedy = "Move it, then run the same command to continue."
    if target.is_symlink() or not target.is_dir():
        raise UsageError(f"{printable(target)}: is not a folder that ltray created. {remedy}")
    names = sorted(path.name for path in target.iterdir())
    foreign = [name for name in names if not any(fnmatch(name, known) for known in _BEST_FILES)]
    if foreign or (names and EVALUATION not in names):
        what = f"holds {printable(foreign[0])}, which ltray did not write" if foreign else f"holds no {EVALUATION}"
        raise UsageError(f"{printable(target)}: {what}; ltray would replace it by a better model. {remedy}")


def _difference(before: Any, after: Any, key: str) -> str:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                return _difference(before.get(name), after.get(name), name)
    return f"`{key}` is {before!r} there and {after!r} now"
