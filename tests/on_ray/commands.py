"""Runs ltray's commands like a user, each in a separate process that can be killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import psutil

LIMIT = 1500  # time limit of a command in seconds; on 2 busy cores some commands need a third of it
SMALL = ["dataset.largest_class=40", "dataset.imbalance_factor=8"]
SPACE = """
dataset: digits-lt
methods: [rescom]
explore:
  rescom.temperature: {from: 0.05, to: 0.5, log: true}
  rescom.queue_size: {from: 2, to: 32}
  rescom.hard_positives: {from: 1, to: 8}
search: {trials: 4}
stop: {rule: asha, first_rung: 1, keep_one_in: 2}
trial: {cpus_per_worker: 2}
fix:
  rescom.epochs: 4
  rescom.schedule: cosine
  rescom.hard_negatives: 8
  dataset.largest_class: 40
  dataset.imbalance_factor: 8
"""


def write_space(folder: Path, *fixed: str) -> Path:
    """Write a small search of ResCom on the digits, with further `fixed` settings ("rescom.batch_size: 16")."""
    path = folder / "small.yaml"
    path.write_text(SPACE + "".join(f"  {line}\n" for line in fixed))
    return path


def study_of(folder: Path) -> optuna.Study:
    """Open the study of a search's run folder."""
    return optuna.load_study(study_name=folder.name, storage=f"sqlite:///{folder / 'study.sqlite3'}")


def environment(data: Path) -> dict[str, str]:
    """Return the environment variables with a separate data folder and without a cluster to join."""
    return {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"} | {
        "LTRAY_DATA": str(data),
        "OMP_NUM_THREADS": "1",
        "RAY_worker_niceness": "0",  # on a busy machine Ray's workers with low priority would be too slow
        "PYTHONUNBUFFERED": "1",
    }


def run(module: str, *arguments: str, data: Path, code: int = 0) -> str:
    """Run `python -m ltray.<module>` to its end; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", f"ltray.{module}", *arguments],
        env=environment(data),
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    printed = done.stdout + done.stderr
    assert done.returncode == code, printed
    assert "Traceback" not in printed, printed
    return printed


@contextmanager
def started(
    module: str, *arguments: str, data: Path, reached: Callable[[str], bool], start_new_session: bool = False
) -> Iterator[tuple[subprocess.Popen, Path]]:
    """Start a command and wait until its output has `reached` a point; yield it and its log."""
    log = data / "interrupted.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", f"ltray.{module}", *arguments],
            env=environment(data),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=start_new_session,
            # A shell that runs the tests in the background ignores Ctrl-C, and children inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        try:
            deadline = time.monotonic() + LIMIT
            while not reached(log.read_text()):
                assert process.poll() is None, f"ended before it was interrupted:\n{log.read_text()}"
                assert time.monotonic() < deadline, f"did not reach this point:\n{log.read_text()}"
                time.sleep(0.05)
            yield process, log
        finally:
            process.kill()  # otherwise it would continue after a failed assertion


def run_until(
    module: str,
    *arguments: str,
    data: Path,
    reached: Callable[[str], bool],
    how: signal.Signals = signal.SIGKILL,
    alone: bool = True,
) -> tuple[str, int]:
    """Start a command, signal it once its output has `reached` a point; return output and exit code.

    Workers outlive a killed command by seconds, in which they may still finish a run. With `alone` False this
    waits until they have exited too.
    """
    with started(module, *arguments, data=data, reached=reached) as (process, log):
        workers = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(how)
        code = process.wait(timeout=LIMIT)
        _, alive = psutil.wait_procs([] if alone else workers, timeout=LIMIT)
        assert not alive
    return log.read_text(), code


def processes(process: subprocess.Popen, name: str) -> list[psutil.Process]:
    """Return the command's processes and their children whose title or program contains a name."""
    family = psutil.Process(process.pid).children(recursive=True)
    return [child for child in family if name in "".join(child.cmdline()[:3])]  # of `python -c PROGRAM` too


def kill(process: subprocess.Popen, name: str) -> None:
    """Kill the command's first process of a name."""
    victims = processes(process, name)
    assert victims, [child.cmdline()[:1] for child in psutil.Process(process.pid).children(recursive=True)]
    victims[0].kill()


def run_with_a_worker_killed(
    module: str, *arguments: str, data: Path, reached: Callable[[str], bool], name: str, delay: float
) -> str:
    """Run a command to its end, killing a worker process `delay` seconds after a point is `reached`.

    Args:
        module: The command.
        *arguments: Its arguments.
        data: Folder of data and log.
        reached: Looks at the output.
        name: Part of the worker's title.
        delay: Seconds.
    """
    with started(module, *arguments, data=data, reached=reached) as (process, log):
        time.sleep(delay)
        kill(process, name)
        assert process.wait(timeout=LIMIT) == 0, log.read_text()
    return log.read_text()
