"""How every command ends: 0 done, 1 failed, 2 bad usage, 130 interrupted."""

import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from ltray.errors import UsageError

DONE, FAILED, BAD_USAGE, INTERRUPTED = 0, 1, 2, 130


def run(main: Callable[[list[str]], int]) -> NoReturn:
    """Call `main` with the command line's words and leave the process with its exit code.

    A user's mistake is told in one sentence without a traceback, as is a place that may not be
    read or written; anything unforeseen keeps
    its traceback, which Python follows by exit code 1.

    Args:
        main: The command; takes the words after the program's name, returns the exit code.

    Raises:
        SystemExit: Always.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # `ray job stop`, batch systems: as Ctrl-C
    try:
        code = main(sys.argv[1:])
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        code = BAD_USAGE
    except PermissionError as error:
        print(
            f"error: {error.filename}: {error.strerror}; mend its permissions, or name another place", file=sys.stderr
        )
        code = BAD_USAGE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = INTERRUPTED
    except BrokenPipeError:  # whoever read the output has seen enough (`| head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nor will the last flush complain
        code = FAILED
    sys.exit(code)
