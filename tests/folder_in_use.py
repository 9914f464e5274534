"""A run folder that another process uses, as a running command does."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCKS = "import sys; from pathlib import Path; from ltray.run_folder import RunFolder\n"
LOCKS += "with RunFolder(Path(sys.argv[1])).locked(): print('locked', flush=True); sys.stdin.read()"


@contextmanager
def held(folder: Path) -> Iterator[int]:
    """Hold the folder in another process while the block runs; yield the process's number."""
    command = [sys.executable, "-c", LOCKS, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout and other.stdout.readline() == "locked\n"
        yield other.pid
        other.communicate()
