"""Signal handlers that act in the process that installed them, and not in processes that it forks."""

import os
import signal
from collections.abc import Callable
from types import FrameType

Handler = Callable[[int, FrameType | None], object]


def in_this_process(handler: Handler) -> Handler:
    """Return a handler that a forked process does not share.

    A fork inherits the handlers. If the handler raises `KeyboardInterrupt`, a forked process that gets a signal
    would run the rest of the command's own code, print that the command was interrupted and leave with its exit
    code. Here it ends by the signal, as it would have without a handler.

    Args:
        handler: What the signal does in this process.
    """
    owner = os.getpid()

    def handle(number: int, frame: FrameType | None) -> None:
        if os.getpid() == owner:
            handler(number, frame)
        else:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    return handle
