"""The progress of a long task: a bar in a terminal, else a line at intervals."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

EVERY = 10.0  # seconds between two lines if there is no terminal


@dataclass(frozen=True)
class ProgressBars:
    """Shows progress on the standard error.

    Attributes:
        shown: False: nothing is shown.
    """

    shown: bool = True

    @contextmanager
    def bar(self, task: str, total: int) -> Iterator[Callable[[int], None]]:
        """Yield a function to call with the number of further items done."""
        if not self.shown:
            yield lambda count: None
        elif sys.stderr.isatty():
            yield from _rich_bar(task, total)
        else:
            yield from _lines(task, total)


def _rich_bar(task: str, total: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import Progress as Bars

    with Bars(console=Console(stderr=True)) as bars:
        number = bars.add_task(task, total=total)
        yield lambda count: bars.advance(number, count)


def _lines(task: str, total: int) -> Iterator[Callable[[int], None]]:
    started = last = time.monotonic()
    done = 0

    def advance(count: int) -> None:
        nonlocal last, done
        done += count
        if time.monotonic() - last >= EVERY:
            last = time.monotonic()
            print(f"{task} {done:,} of {total:,}", file=sys.stderr, flush=True)

    yield advance
    print(f"{task} {done:,} of {total:,} in {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)
