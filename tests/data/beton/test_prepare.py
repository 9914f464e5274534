"""Worker processes that die while images are prepared end a conversion in a sentence, however early they die."""

from multiprocessing import resource_tracker, spawn
from pathlib import Path

import pytest

from ltray.data.beton.chunks import CHUNK, Prepared
from ltray.data.beton.prepare import prepare
from ltray.data.definition import DatasetDefinition
from ltray.data.originals import Originals
from ltray.errors import UsageError


class LargeOpener:
    """More bytes than a pipe holds, as the names of some thousand images are."""

    def __init__(self) -> None:
        self.names = "x" * (1 << 20)

    def __call__(self) -> Originals:
        """Open nothing: no worker comes that far."""
        raise NotImplementedError


@pytest.mark.timeout(60)
@pytest.mark.parametrize("program", ["/bin/false", "/bin/true"])
def test_a_worker_that_dies_before_it_reads_anything_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    resource_tracker.ensure_running()  # it starts by the same program
    monkeypatch.setattr(spawn, "get_executable", lambda: program.encode())
    prepared, storage = Prepared(tmp_path, 3 * CHUNK), DatasetDefinition.read("digits-lt").storage
    with pytest.raises(
        UsageError, match=r"A process crashed while it read images 0 to \d+. A likely cause is too little memory"
    ):
        prepare(LargeOpener(), prepared, storage=storage, workers=2, advance=lambda count: None)
