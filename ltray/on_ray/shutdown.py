"""The end of a search before its last trial: the budget is used up, or the search is interrupted."""

import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ray.tune import Stopper

from ltray.metrics import PLANNED_EPOCHS
from ltray.on_ray.forced_exit import exit_soon
from ltray.on_ray.scheduler import EPOCHS
from ltray.signals import in_this_process


class GracefulStopper(Stopper):
    """Ends running trials after their current epoch, or at once.

    Either way the study keeps them open, and the same command goes on with them from their newest checkpoints. No new
    trial starts meanwhile.

    Args:
        last_words: What to call where a search that a signal ends at once does not come to its own end within seconds:
            then the process is left. Empty: it takes its time.

        may_exit: Whether the process may be left; a program that called the search goes on.

    Attributes:
        reason: Why the search closes; "" while it goes on.
        interrupted: Whether that was a signal.
        failure: What made it impossible to continue now, such as a full disk; "": nothing.
        ended: Tune's names of the trials that it ended after an epoch.
        last_words: As given.
    """

    def __init__(self, last_words: Iterable[Callable[[], object]] = (), *, may_exit: bool = True) -> None:
        self._may_exit = may_exit
        self.last_words = list(last_words)
        self.reason = ""
        self.interrupted = False
        self.failure = ""
        self.ended: set[str] = set()
        self._now = False

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune pickles its parts for its own restore, ltray resumes from the study."""
        return {}

    def after_this_epoch(self, reason: str) -> None:
        """Begin no trial, and end the running ones as their epochs end."""
        self.reason = self.reason or reason

    def fail(self, reason: str) -> None:
        """End the search as `after_this_epoch` does, because a trial cannot be continued now."""
        self.failure = self.failure or reason
        self.after_this_epoch("a trial could not write its checkpoint")

    def at_once(self, reason: str) -> None:
        """End every trial without waiting for its epoch, which a resumed search repeats."""
        self.reason, self._now = reason, True

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """Obey a signal: Ctrl-C lets epochs end; a second one, and SIGTERM, do not; a third is Python's own."""
        if self._now and self.interrupted:
            raise KeyboardInterrupt
        if number == signal.SIGINT and not self.interrupted:
            self.after_this_epoch("interrupted")
        else:  # whoever sends SIGTERM follows it up with SIGKILL within seconds
            self.at_once("interrupted")
            if self.last_words and self._may_exit:
                exit_soon(self.last_words)
        self.interrupted = True

    def words(self) -> str:
        """Return what to tell the user: why the search closes, and when it will be done."""
        if not self.reason:
            return ""
        if self._now:
            return f"{self.reason}: running trials stop at once"
        return f"{self.reason}: running trials stop at the end of their epoch" + (
            "; Ctrl-C again stops them at once" if self.interrupted else ""
        )

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        """Return whether a trial ends with this epoch."""
        # A trial that has reached its last epoch is complete, not ended.
        if not self.reason or not 0 < result.get(EPOCHS, 0) < result[PLANNED_EPOCHS]:
            return False
        self.ended.add(trial_id)
        return True

    def stop_all(self) -> bool:
        """Return whether every trial ends at once."""
        return self._now


@contextmanager
def signals_to(stopper: GracefulStopper) -> Iterator[None]:
    """Hand SIGINT and SIGTERM to `stopper` instead of letting them break off whatever runs.

    In another thread than the main one nothing is changed: Python hands signals to the main thread alone.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = in_this_process(stopper.interrupt)
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, usual in before.items():
            signal.signal(number, usual)
