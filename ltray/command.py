"""Exit codes and error messages of all commands: 0 done, 1 failed, 2 bad usage, 130 interrupted."""

import errno
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from ltray.console import write_what_can_be_shown
from ltray.errors import UsageError
from ltray.files import reason
from ltray.printable import printable, printable_lines
from ltray.signals import in_this_process

FILE_SYSTEM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)  # errors that may have no file name
DONE, FAILED, BAD_USAGE, INTERRUPTED = 0, 1, 2, 130


def exit_with(main: Callable[[list[str]], int]) -> NoReturn:
    """Call `main` with the arguments of the command line and exit with its code.

    For a user's mistake, and for a file or folder that cannot be read or written (permissions, a full disk, a name
    that is too long), one sentence is printed without a traceback. For any other exception, Python prints the
    traceback and exits with code 1.

    Args:
        main: The command; its argument is the list of arguments after the program's name, its result the exit code.

    Raises:
        SystemExit: Always.
    """
    ending = in_this_process(signal.default_int_handler)
    signal.signal(signal.SIGTERM, ending)  # `ray job stop`, batch systems: the same as Ctrl-C
    write_what_can_be_shown()
    try:
        code = main(sys.argv[1:])
    except UsageError as error:
        print(f"error: {printable_lines(str(error))}", file=sys.stderr)
        code = BAD_USAGE
    except BrokenPipeError:  # the reader of the output has closed it (`| head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the last flush raises nothing
        code = FAILED
    except OSError as error:
        if error.filename is None and error.errno not in FILE_SYSTEM:
            raise
        place = "" if error.filename is None else f"{printable(str(error.filename))}: "
        print(f"error: {place}{reason(error)}; {_remedy(error)}", file=sys.stderr)
        code = BAD_USAGE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = INTERRUPTED
    sys.exit(code)


def _remedy(error: OSError) -> str:
    """Return the remedy for an error of the file system, as a clause."""
    if isinstance(error, PermissionError):
        return "fix its permissions, or use another path"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "free some space, or use another path; completed parts are kept"
    return "use another path"
