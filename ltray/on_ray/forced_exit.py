"""Leaves a command that was told to end at once, whatever Ray is waiting for."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable

from ltray.command import INTERRUPTED

LEAVE_WITHIN = 8.0  # seconds; `docker stop` and the like kill after ten


def exit_soon(last_words: Iterable[Callable[[], object]] = ()) -> None:
    """Let the command end by itself for some seconds, then call `last_words` and end it with exit code 130.

    A signal to a whole process group ends Ray's own processes too; who calls Ray then waits a minute for them and is
    ended with exit code 1. Everything is on the disk at every moment.
    """

    def leave() -> None:
        time.sleep(LEAVE_WITHIN)
        try:
            for say in tuple(last_words):
                say()
        finally:
            sys.stdout.flush()
            os._exit(INTERRUPTED)

    threading.Thread(target=leave, daemon=True, name="ltray-leave").start()
