"""Exits from an interrupted command after a time-out, even if it waits inside Ray."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable

from ltray.command import INTERRUPTED

LEAVE_WITHIN = 8.0  # seconds; `docker stop` and similar commands kill after ten


def exit_after_timeout(final_steps: Iterable[Callable[[], object]] = ()) -> None:
    """Wait some seconds for the end of the command, then call `final_steps` and exit with code 130.

    A signal to a process group also ends Ray's processes. A call of Ray then waits a minute for them and ends the
    process with exit code 1. No data are lost, because all results are already on the disk.
    """

    def leave() -> None:
        time.sleep(LEAVE_WITHIN)
        try:
            for step in tuple(final_steps):
                step()
        finally:
            sys.stdout.flush()
            os._exit(INTERRUPTED)

    threading.Thread(target=leave, daemon=True, name="ltray-leave").start()
