"""The end of a search before its last trial: the budget is used up, or the search is interrupted."""

import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ray.tune import Stopper

from ltray.metrics import PLANNED_EPOCHS
from ltray.on_ray.exit_timeout import exit_after_timeout
from ltray.on_ray.scheduler import EPOCHS
from ltray.signals import in_this_process


class GracefulStopper(Stopper):
    """Ends running trials after their current epoch, or immediately.

    In both cases they remain open in the study, and running the same command resumes them from their newest
    checkpoints. No new trial starts in the meantime.

    Args:
        final_steps: Called if a signal ends the search immediately but the search does not end within seconds; then the
            process exits. Empty: there is no time limit.

        may_exit: Whether the process may exit; a program that called the search continues.

    Attributes:
        reason: Why the search ends early; "" while it continues.
        interrupted: Whether the reason is a signal.
        failure: Why the search cannot continue now, such as a full disk; "" if there is no such reason.
        ended: Tune's names of the trials that it ended after an epoch.
        final_steps: The argument.
    """

    def __init__(self, final_steps: Iterable[Callable[[], object]] = (), *, may_exit: bool = True) -> None:
        self._may_exit = may_exit
        self.final_steps = list(final_steps)
        self.reason = ""
        self.interrupted = False
        self.failure = ""
        self.ended: set[str] = set()
        self._now = False

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune pickles its parts for its own restore, ltray resumes from the study."""
        return {}

    def after_this_epoch(self, reason: str) -> None:
        """Start no new trials, and end the running trials at the end of their epochs."""
        self.reason = self.reason or reason

    def fail(self, reason: str) -> None:
        """End the search as `after_this_epoch` does, because a trial cannot be continued now."""
        self.failure = self.failure or reason
        self.after_this_epoch("a trial could not write its checkpoint")

    def stop_now(self, reason: str) -> None:
        """End every trial without waiting for its epoch, which a resumed search repeats."""
        self.reason, self._now = reason, True

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal: the first Ctrl-C waits for epochs, a second or SIGTERM does not; Python handles a third."""
        if self._now and self.interrupted:
            raise KeyboardInterrupt
        if number == signal.SIGINT and not self.interrupted:
            self.after_this_epoch("interrupted")
        else:  # programs that send SIGTERM usually send SIGKILL some seconds later
            self.stop_now("interrupted")
            if self.final_steps and self._may_exit:
                exit_after_timeout(self.final_steps)
        self.interrupted = True

    def text(self) -> str:
        """Return the message for the user: why the search ends early, and when."""
        if not self.reason:
            return ""
        if self._now:
            return f"{self.reason}: running trials stop at once"
        return f"{self.reason}: running trials stop at the end of their epoch" + (
            "; Ctrl-C again stops them at once" if self.interrupted else ""
        )

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        """Return whether a trial ends with this epoch."""
        # A trial that has reached its last epoch is complete; it is not ended early.
        if not self.reason or not 0 < result.get(EPOCHS, 0) < result[PLANNED_EPOCHS]:
            return False
        self.ended.add(trial_id)
        return True

    def stop_all(self) -> bool:
        """Return whether all trials end immediately."""
        return self._now


@contextmanager
def signals_to(stopper: GracefulStopper) -> Iterator[None]:
    """Pass SIGINT and SIGTERM to `stopper`, so that they do not interrupt the code that is running.

    Outside the main thread this changes nothing: Python delivers signals to the main thread only.
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
