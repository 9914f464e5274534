"""The folder of a run or a search: the names of its files, reading and writing."""

import fcntl
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ltray.checkpoints import complete_best, complete_checkpoints, remedy
from ltray.engine.checkpoint import FILE_NAME, SUMMARY_NAME, metrics_of
from ltray.errors import UsageError
from ltray.files import is_there, locking, read_text, reading
from ltray.given_files import at_new_places, reconciled
from ltray.model_folder import ModelFolder
from ltray.printable import printable
from ltray.private_folders import make_private
from ltray.recorded_settings import recorded_settings
from ltray.seal import FOREIGN, LIST, append_sealed, check_listed, read_lines, read_sealed, write_listed, write_sealed

_SCRATCH = ".ltray-"  # prefix of the names of folders that a killed command may leave
RESULTS_FILE = "result.json"  # in the folder of a trial: its reports of each epoch; the name that Ray Tune uses


def trial_name(number: int) -> str:
    """Return the name of a trial of a search in folders and tables: `0007`."""
    return f"{number:04d}"


def attempts(trials: Path, number: int) -> list[Path]:
    """Return the folders of a trial, oldest first."""
    found = [trials / trial_name(number), *trials.glob(f"{trial_name(number)}.*")]
    return sorted((p for p in found if p.is_dir()), key=lambda p: int(p.suffix[1:] or 0))


def checkpoint_of(path: Path) -> Path:
    """Return the checkpoint of a run folder, or the folder itself if it is a checkpoint.

    For a run it is the checkpoint in `best/` or, before the end of the run, that of its best epoch.

    Raises:
        UsageError: There is none, or the best one is damaged or missing: another checkpoint would give other results.
    """
    run = RunFolder(path)
    best = run.best.path
    for folder in (path, best):
        files = (folder / name for name in (FILE_NAME, SUMMARY_NAME))
        if (folder.name == best.name and folder.is_dir()) or any(file.exists() for file in files):
            if metrics_of(folder) is None:
                raise UsageError(f"{printable(folder)}: its checkpoint is incomplete: {remedy(path)}.")
            return folder
    found = complete_best(path, complete_checkpoints(path), run.history())
    if found is None:
        raise UsageError(f"{printable(path)}: {'contains no checkpoint' if path.is_dir() else 'no such folder'}.")
    return found


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run or a search. Methods that read return None if there is no such file yet.

    Attributes:
        path: The folder; it may be missing.
    """

    path: Path

    @property
    def config_file(self) -> Path:
        """The resolved settings."""
        return self.path / "config.yaml"

    @property
    def environment_file(self) -> Path:
        """Versions, hardware, digest of the data."""
        return self.path / "env.json"

    @property
    def history_file(self) -> Path:
        """The metrics of each epoch of a run, one JSON line each."""
        return self.path / "history.jsonl"

    @property
    def lock_file(self) -> Path:
        """Locked while a command uses the folder; contains its process."""
        return self.path / ".lock"

    @property
    def looks_file(self) -> Path:
        """The looks at the test images, one JSON line each."""
        return self.path / "test_looks.jsonl"

    @property
    def report_file(self) -> Path:
        """The report, one HTML page."""
        return self.path / "report.html"

    @property
    def failure_file(self) -> Path:
        """The reason why a finalist's run has no evaluation."""
        return self.path / "failure.json"

    @property
    def best(self) -> ModelFolder:
        """The best checkpoint with its evaluation."""
        return ModelFolder(self.path / "best")

    @property
    def evaluations(self) -> Path:
        """The folder of the analyses of `ltray.evaluate`, by checkpoint and split."""
        return self.path / "evaluations"

    @property
    def trials(self) -> Path:
        """The folder of the folders of a search's trials."""
        return self.path / "trials"

    @property
    def copies(self) -> Path:
        """The folder of the checkpoints that members of a population copied, by trial."""
        return self.path / "copies"

    @property
    def workers(self) -> Path:
        """The folder of the files of trials with several workers, by trial."""
        return self.path / "workers"

    @property
    def study_file(self) -> Path:
        """The Optuna study of a search; optuna-dashboard can read it while the search runs."""
        return self.path / "study.sqlite3"

    @property
    def spent_file(self) -> Path:
        """The part of the budget that a search has used."""
        return self.path / "spent.json"

    @property
    def results_table(self) -> Path:
        """The trials of a search, a row each; a `.csv` with the same name is written too."""
        return self.path / "results.parquet"

    @property
    def epochs_table(self) -> Path:
        """The epochs of all trials of a search."""
        return self.path / "history.parquet"

    @property
    def importance_table(self) -> Path:
        """Hyperparameter importance, a row for each group and knob."""
        return self.path / "importance.csv"

    @property
    def verdict_file(self) -> Path:
        """The verdict of a search over methods."""
        return self.path / "verdict.json"

    @property
    def finalists_table(self) -> Path:
        """The finalists of a search, a row each; a `.csv` with the same name is written too."""
        return self.path / "finalists.parquet"

    @property
    def finalist_runs_table(self) -> Path:
        """The runs of the finalists, a row each; a `.csv` with the same name is written too."""
        return self.path / "finalist_runs.parquet"

    @property
    def paper_table(self) -> Path:
        """The rows of a paper's table; `.csv`, `.md` and `.tex` with the same name are written too."""
        return self.path / "table.parquet"

    @property
    def begun(self) -> tuple[str, ...]:
        """Patterns of the names of files that a command leaves when it is killed during its first writes."""
        files = (self.environment_file.name, LIST, self.config_file.name)
        return (self.lock_file.name, *files[:-1], *(f".{name}.*.tmp" for name in files))

    def finalist_run(self, key: str, seed: int, data_seed: int) -> Path:
        """Return the folder of one run of a finalist.

        Args:
            key: The trial's number as in folder names, or "paper".
            seed: Training seed.
            data_seed: Data seed.
        """
        return self.path / "finalists" / f"{key}-seed{seed}-data{data_seed}"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder for other commands; create it if it is missing, readable by its owner only.

        The lock belongs to the process: it always ends with the process, and child processes do not inherit it.

        Raises:
            UsageError: Another process has the lock, or the file system has no locks.
        """
        make_private(self.path)
        with self.lock_file.open("a+", encoding="utf-8") as file:
            try:
                with locking(self.lock_file):
                    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                file.seek(0)
                raise UsageError(
                    f"{self.path}: in use by {file.read().strip() or 'another process'}. Wait until it ends, end it, "
                    "or use another folder with --output."
                ) from error
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            file.flush()
            yield

    def holder(self) -> str:
        """Return the process that has locked the folder, such as "process 7 on host"; "" if none has.

        Not for the process that has locked it: closing the file there would end the lock.
        """
        if not is_there(self.lock_file):
            return ""
        with self.lock_file.open(encoding="utf-8") as file:
            try:
                with locking(self.lock_file):
                    fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return file.read().strip() or "another process"
        return ""

    def claim(self, config: Mapping[str, Any], environment: Mapping[str, Any], *, may_differ: tuple[str, ...]) -> bool:
        """Reserve the folder for a run, or find the same run there; create the folder if it is missing.

        Args:
            config: The resolved settings.
            environment: The content of `env.json`; if the data's digest is equal, their paths may differ.
            may_differ: Top-level keys of `config` that a continued run may change.

        Returns:
            Whether the folder already contained this run.

        Raises:
            UsageError: The folder contains a run with other settings or other given files.
        """
        known = self.config()
        if known is None:
            make_private(self.path)
            write_sealed(self.environment_file, environment)
        elif "settings" not in known:
            raise UsageError(
                f"{printable(self.config_file)}: `settings` is missing. {FOREIGN} Use another folder with --output."
            )
        else:
            there, config = reconciled(self.path, known, config)
            digest = (self.environment() or {}).get("data_digest")
            if digest and digest == environment.get("data_digest"):
                there = at_new_places(there, config)
            for key in sorted((config.keys() | there.keys()) - set(may_differ)):
                if config.get(key) != there.get(key):
                    raise UsageError(
                        f"{self.path}: contains a run with different settings: "
                        f"{_difference(there.get(key), config.get(key), key)}. Use another folder with --output, or "
                        "remove this one."
                    )
        write_listed(self.config_file, yaml.safe_dump(dict(config), sort_keys=False))
        return known is not None

    def config(self) -> dict[str, Any] | None:
        """Return the content of `config.yaml`, or None.

        Raises:
            UsageError: It was not written by ltray.
        """
        path = self.config_file
        if not is_there(path):
            return None
        check_listed(path)
        text = read_text(path)
        with reading(path, "not valid YAML"):
            content = yaml.safe_load(text)
        if not isinstance(content, dict):
            raise UsageError(f"{printable(path)}: has no `key: value` settings. {FOREIGN}")
        return content | _present(content)

    def environment(self) -> dict[str, Any] | None:
        """Return the content of `env.json`, or None.

        Raises:
            UsageError: It is damaged.
        """
        return read_sealed(self.environment_file) if is_there(self.environment_file) else None

    def append_history(self, metrics: Mapping[str, Any]) -> None:
        """Add one epoch's metrics as a JSON line; an epoch that is repeated after a crash has two lines."""
        append_sealed(self.history_file, metrics)

    def history(self) -> list[dict[str, Any]]:
        """Return the metrics of every epoch, each once; an incomplete last line after a crash is left out.

        Raises:
            UsageError: A line is damaged.
        """
        epochs: dict[int, dict[str, Any]] = {}
        for number, metrics in enumerate(read_lines(self.history_file), start=1):
            if not isinstance(metrics.get("total_epochs"), int):
                raise UsageError(f"{printable(self.history_file)}:{number}: `total_epochs` is missing. {FOREIGN}")
            epochs[metrics["total_epochs"]] = metrics
        return [epochs[epoch] for epoch in sorted(epochs)]

    def unrecorded(self) -> list[tuple[Path, dict[str, float]]]:
        """Return the complete checkpoints, oldest first, whose epochs are not in the history: a driver was killed."""
        recorded = {row["total_epochs"] for row in self.history()}
        return [item for item in complete_checkpoints(self.path) if item[1]["total_epochs"] not in recorded]

    def keep_best(self, checkpoint: Path, evaluation: Mapping[str, Any], *, scores: bytes | None = None) -> None:
        """Copy a checkpoint to `best/` with its evaluation, in place of the complete earlier content.

        Args:
            checkpoint: The checkpoint's folder.
            evaluation: The content of `evaluation.json`.
            scores: The content of `selection.npz`: its validation logits.

        Raises:
            UsageError: `best/` contains files that ltray did not write.
        """
        self.best.check_written_by_ltray()
        target = self.best.path
        with self._scratch() as room:
            fresh = ModelFolder(room / target.name)
            shutil.copytree(checkpoint, fresh.path)
            if scores:
                write_listed(fresh.scores_file, scores)
            write_sealed(fresh.evaluation_file, evaluation)
            if target.exists():
                target.rename(room / "before")
            fresh.path.rename(target)

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        """Create a temporary folder inside; temporary folders of killed commands are removed."""
        for left in self.path.glob(f"{_SCRATCH}*"):
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=self.path) as room:
            yield Path(room)


def start_setting(run: Path | None) -> dict[str, str]:
    """Return the setting of `--from RUN`: the run's checkpoint; {} without a run."""
    return {"start": str(checkpoint_of(run).resolve())} if run else {}


def _present(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of a configuration that contain settings: the run's, each alternative's, each row's."""
    found: dict[str, Any] = {}
    if isinstance(content.get("settings"), dict):
        found["settings"] = recorded_settings(content["settings"])
    if isinstance(content.get("alternatives"), dict):
        found["alternatives"] = {name: recorded_settings(own) for name, own in content["alternatives"].items()}
    if isinstance(content.get("rows"), list):
        found["rows"] = [recorded_settings(row) for row in content["rows"]]
    return found


def _difference(before: Any, after: Any, key: str) -> str:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                return _difference(before.get(name), after.get(name), name)
    return f"`{key}` is {before!r} there and {after!r} now"
