"""A process forked by a command is ended by a signal that it receives; the command itself is not affected."""

import signal
import subprocess
import sys

import pytest

FORKS = """
import os, signal, time
from contextlib import nullcontext
from ltray.command import exit_with
from ltray.errors import UsageError
from ltray.quantities import file_size
{closing}

def main(arguments):
    with {within}:
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        ended = 0
        while not ended:  # immediately: the child still has this process's handlers
            os.kill(child, signal.{name})
            ended, status = os.waitpid(child, os.WNOHANG)
        raise UsageError(f"a child ended by signal {{os.WTERMSIG(status)}} of {{os.WIFSIGNALED(status)}}.")

exit_with(main)
"""
CLOSING = "from ltray.on_ray.shutdown import GracefulStopper, signals_to"


@pytest.mark.parametrize(
    ("closing", "within", "name"),
    [("", "nullcontext()", "SIGTERM"), (CLOSING, "signals_to(GracefulStopper())", "SIGTERM")]
    + [(CLOSING, "signals_to(GracefulStopper())", "SIGINT")],
)
def test_forked_process_ends_by_its_signal_and_the_command_continues(closing: str, within: str, name: str) -> None:
    program = FORKS.format(closing=closing, within=within, name=name)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    message = f"error: a child ended by signal {signal.Signals[name].value} of True.\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", message)
