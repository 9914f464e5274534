"""Processes that end when their parent process was killed."""

import os
import threading
import time
from collections.abc import Callable


def follow(parent: int, end: Callable[[], None] = lambda: os._exit(1)) -> None:
    """Call `end` within about a second after the parent of this process has ended.

    Args:
        parent: The parent's process id, taken before this process began.
        end: Ends this process.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        end()

    threading.Thread(target=watch, daemon=True, name="ltray-follow").start()
