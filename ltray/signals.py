"""Signal handlers that are used only in the process that installed them, not in its forked processes."""

import os
import signal
from collections.abc import Callable
from types import FrameType

Handler = Callable[[int, FrameType | None], object]


def in_this_process(handler: Handler) -> Handler:
    """Return a handler that has no effect in a forked process.

    A forked process inherits the handlers. If the handler raises `KeyboardInterrupt`, a forked process that receives a
    signal would run the rest of the command's code, print that the command was interrupted and exit with its code.
    With this handler, it is ended by the signal, as without a handler.

    Args:
        handler: The handler for this process.
    """
    owner = os.getpid()

    def handle(number: int, frame: FrameType | None) -> None:
        if os.getpid() == owner:
            handler(number, frame)
        else:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    return handle
