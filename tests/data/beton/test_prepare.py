"""A worker process that dies during the preparation of images ends the conversion with a usage error."""

from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from errno import EBADF
from multiprocessing import get_context, resource_tracker, spawn
from pathlib import Path

import pytest

from ltray.data.beton.chunks import CHUNK, Prepared
from ltray.data.beton.prepare import _submitted, prepare
from ltray.data.definition import DatasetDefinition
from ltray.data.originals import Originals
from ltray.errors import UsageError


class LargeOpener:
    """An opener with more bytes than a pipe buffer, like the names of thousands of images."""

    def __init__(self) -> None:
        self.names = "x" * (1 << 20)

    def __call__(self) -> Originals:
        """Not called: the workers die before."""
        raise NotImplementedError


@pytest.mark.timeout(60)
@pytest.mark.parametrize("program", ["/bin/false", "/bin/true"])
def test_worker_that_dies_at_its_start_is_detected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    resource_tracker.ensure_running()  # it is started with the same executable
    monkeypatch.setattr(spawn, "get_executable", lambda: program.encode())
    prepared, storage = Prepared(tmp_path, 3 * CHUNK), DatasetDefinition.read("digits-lt").storage
    with pytest.raises(
        UsageError, match=r"A process crashed while it read images 0 to \d+. A likely cause is too little memory"
    ):
        prepare(LargeOpener(), prepared, storage=storage, workers=2, advance=lambda count: None)


@pytest.mark.parametrize(
    "raised",
    [OSError("handle is closed"), OSError(EBADF, "Bad file descriptor"), ValueError("bad value(s) in fds_to_keep")],
    ids=repr,
)
@pytest.mark.parametrize("failed", [True, False], ids=["failed pool", "working pool"])
def test_what_a_start_raises_is_the_pools_failure_only_if_the_pool_failed(raised: Exception, failed: bool) -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        start = pool._adjust_process_count

        def race() -> None:
            # What the pool's own thread does when it finds a dead process while `submit` starts the next one.
            pool._broken = "A child process terminated abruptly" if failed else False
            pool._adjust_process_count = start
            raise raised

        pool._adjust_process_count = race
        with pytest.raises(BrokenProcessPool if failed else type(raised)):
            _submitted(pool, range(1))
        pool._broken = False
