"""Runs wrong inputs in this process, like the commands' entry point, and returns how each ended."""

import contextlib
import io
import os
import resource
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import pytest

from ltray import command, convert, evaluate, predict, train, tune, views
from ltray.methods import __main__ as methods
from ltray.on_ray import cluster
from ltray.report import __main__ as report
from tests.wrong_inputs.case import Case

MAINS: dict[str, Callable[[list[str]], int]] = {
    "train": train.main,
    "tune": tune.main,
    "convert": convert.main,
    "views": views.main,
    "evaluate": evaluate.main,
    "report": report.main,
    "predict": predict.main,
    "methods": methods.main,
}
REFUSED, VAGUE, ACCEPTED = "refused", "refused, place or value missing", "accepted"
FAILED, TRACEBACK, HANG, MEMORY = "exit code 1", "traceback", "hang", "memory"
OUTCOMES = (REFUSED, VAGUE, ACCEPTED, FAILED, TRACEBACK, HANG, MEMORY)
SECONDS, MEBIBYTES = 30.0, 1024
MEMORY_LIMIT = 3 << 30  # bytes of additional address space; a correct refusal needs less


class ClusterRequested(BaseException):
    """The command requested its cluster: it accepted the input."""


class Timeout(BaseException):
    """The command ran for longer than `SECONDS`."""


@dataclass(frozen=True)
class Result:
    """Result of a case.

    Attributes:
        case: The case.
        outcome: One of `OUTCOMES`.
        printed: Output of the command, with its traceback if there is one.
    """

    case: Case
    outcome: str
    printed: str


@contextmanager
def no_cluster() -> Iterator[None]:
    """Raise `ClusterRequested` instead of starting a cluster."""

    def request() -> None:
        raise ClusterRequested

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster, "connect", request)
        for name in ("RAY_ADDRESS", "LTRAY_SHARED_DATA"):
            patch.delenv(name, raising=False)
        yield


def run(case: Case, inputs: Path) -> Result:
    """Run one case in a separate working folder; see `no_cluster`."""
    before = os.getcwd()
    here = Path(tempfile.mkdtemp(prefix="case-"))
    os.chdir(here)
    try:
        outcome, printed = _outcome(case, case.set_up(here, inputs))
    finally:
        os.chdir(before)
        shutil.rmtree(here, ignore_errors=True)
    if case.row and outcome == FAILED:
        outcome = REFUSED
    if outcome == REFUSED and not all(part.casefold() in printed.casefold() for part in case.contains):
        outcome = VAGUE
    return Result(case, outcome, printed)


def _outcome(case: Case, arguments: list[str]) -> tuple[str, str]:
    """Call the command through `ltray.command.exit_with`, as from a shell."""
    printed = io.StringIO()
    _reset_peak()
    start_memory = _resident()
    try:
        with _bounded(), _alarm(), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            _as_a_shell(MAINS[case.command], arguments)
    except ClusterRequested:
        return ACCEPTED, printed.getvalue()
    except Timeout:
        return HANG, traceback.format_exc()
    except SystemExit as exit_:
        outcome = {command.DONE: ACCEPTED, command.BAD_USAGE: REFUSED}.get(exit_.code or 0, FAILED)
    except MemoryError:
        return MEMORY, traceback.format_exc()
    except BaseException:
        return TRACEBACK, printed.getvalue() + traceback.format_exc()
    if _peak() - start_memory > MEBIBYTES:
        return MEMORY, printed.getvalue()
    return outcome, printed.getvalue()


def _as_a_shell(main: Callable[[list[str]], int], arguments: list[str]) -> None:
    argv, ending = sys.argv, signal.getsignal(signal.SIGTERM)
    sys.argv = ["ltray", *arguments]
    try:
        command.exit_with(main)
    finally:
        sys.argv = argv
        signal.signal(signal.SIGTERM, ending)


@contextmanager
def _bounded() -> Iterator[None]:
    """Limit the address space, so that allocations fail before memory is exhausted."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY_LIMIT, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@contextmanager
def _alarm() -> Iterator[None]:
    def up(number: int, frame: FrameType | None) -> None:
        raise Timeout

    before = signal.signal(signal.SIGALRM, up)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _reset_peak() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> int:
    """Highest resident memory since `_reset_peak`, in MiB."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    return next(int(line.split()[1]) >> 10 for line in status.splitlines() if line.startswith("VmHWM"))


def _resident() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() >> 20
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
