"""If FFCV is missing or broken, every command that needs it fails with a remedy."""

import ctypes
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ltray import convert, train, tune
from ltray.data.beton.reader import library
from ltray.data.dataset import open_data
from ltray.data.definition import DatasetDefinition
from ltray.errors import UsageError

NEEDS_IT = (
    (convert.main, ["digits-lt"]),
    (train.main, ["--methods", "bcl", "--dataset", "digits-lt", "epochs=1"]),
    (tune.main, ["quickstart", "--dry-run"]),
    (tune.main, ["quickstart"]),
)
IDS = ("convert", "train", "dry run", "search")


@pytest.fixture(autouse=True)
def nothing_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Empty working and data folders, and an empty cache of the library."""
    monkeypatch.setenv("LTRAY_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    library.cache_clear()
    yield
    library.cache_clear()


def absent(folder: Path, patch: pytest.MonkeyPatch) -> str:
    """Simulate that FFCV is not installed."""
    patch.setitem(sys.modules, "ffcv", None)
    return "is not installed"


def not_compiled(folder: Path, patch: pytest.MonkeyPatch) -> str:
    """Simulate a package folder without the compiled library."""
    patch.delitem(sys.modules, "ffcv", raising=False)
    (folder / "path" / "ffcv").mkdir(parents=True)
    (folder / "path" / "ffcv" / "__init__.py").touch()
    patch.syspath_prepend(str(folder / "path"))
    return "is not installed"


def without_opencv(folder: Path, patch: pytest.MonkeyPatch) -> str:
    """Simulate missing shared libraries of the compiled library."""

    def load(name: str) -> None:
        raise OSError("libopencv_core.so.406: cannot open shared object file: No such file or directory")

    patch.setattr(ctypes, "CDLL", load)
    return "cannot be loaded: libopencv_core.so.406"


def damaged(folder: Path, patch: pytest.MonkeyPatch) -> str:
    """Simulate a damaged library file."""
    not_compiled(folder, patch)
    (folder / "path" / "ffcv" / "_libffcv.so").write_bytes(b"no library")
    return "cannot be loaded"


@pytest.mark.parametrize(("main", "arguments"), NEEDS_IT, ids=IDS)
@pytest.mark.parametrize("simulate", [absent, not_compiled, without_opencv, damaged])
def test_command_that_needs_ffcv_names_the_remedy(
    main: Callable[[list[str]], int],
    arguments: list[str],
    simulate: Callable[[Path, pytest.MonkeyPatch], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    message = simulate(tmp_path, monkeypatch)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(UsageError) as raised:
        main(arguments)
    text = str(raised.value)
    assert message in text and "pip install" in text and "libturbojpeg" in text and "make setup" in text
    assert set(tmp_path.rglob("*")) == before  # no run folder, no data folder


def test_reading_originals_does_not_need_ffcv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    absent(tmp_path, monkeypatch)
    definition = DatasetDefinition.read("digits-lt")
    assert open_data(definition, device=torch.device("cpu"), source="memory").tail.classes == 10
