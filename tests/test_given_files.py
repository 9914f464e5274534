"""A run continues if the files that it was given have moved, and is refused if their content differs."""

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ltray import train, tune
from ltray.data.definition import PLACES
from ltray.engine.checkpoint import Checkpoint
from ltray.errors import UsageError
from ltray.given_files import recorded_files
from ltray.run_folder import RunFolder
from ltray.run_settings import RunSettings
from ltray.space.catalog import find
from ltray.space.search_space import SearchSpace
from ltray.study.study import as_read

Command = Callable[[Path], int]


@pytest.fixture
def first_run(short_run: Path, tmp_path: Path) -> Path:
    """A run to continue from, which a test may move and change."""
    folder = tmp_path / "first"
    Checkpoint.load(sorted(short_run.glob("checkpoint_*"))[-1]).save(folder / "best")
    return folder


@pytest.fixture(params=["train", "tune"])
def command(
    request: pytest.FixtureRequest, digits_from_memory: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Command:
    """`ltray.train` or `ltray.tune` of a second stage into one folder; it ends before Ray trains."""
    from ltray.on_ray import cluster, search

    monkeypatch.setattr(cluster, "connect", lambda: None)
    monkeypatch.setattr(cluster, "disconnect", lambda: None)
    monkeypatch.setattr(cluster, "concurrent_trials", lambda resources: 1)
    monkeypatch.setattr(train, "_follow", lambda *arguments: "stopped by the test")
    monkeypatch.setattr(search, "join_cluster", lambda space, budget: None)
    monkeypatch.setattr(search, "search", lambda *arguments, **options: 1)
    small = ["dataset.largest_class=8", "dataset.imbalance_factor=4", "--output", str(tmp_path / "second")]

    def run(start: Path) -> int:
        if request.param == "train":
            arguments = ["--methods", "crt", "--dataset", "digits-lt", "batch_size=8", *small, "--from", str(start)]
            return train.main(arguments)
        return tune.main(["crt", "dataset=digits-lt", "crt.batch_size=8", *small, "--from", str(start)])

    return run


def test_run_continues_from_a_moved_network_but_not_from_a_different_one(
    command: Command, first_run: Path, tmp_path: Path
) -> None:
    assert command(first_run) == 1
    moved = first_run.rename(tmp_path / "moved")
    assert command(moved) == 1
    known = RunFolder(tmp_path / "second").config()
    assert known is not None and known["settings"]["start"] == str(moved / "best")
    checkpoint = Checkpoint.load(moved / "best")
    weights = {name: value + 1 if value.is_floating_point() else value for name, value in checkpoint.stages.items()}
    Checkpoint(**{**vars(checkpoint), "stages": weights}).save(moved / "best")
    with pytest.raises(UsageError, match="started with a different content of `start`: .*moved/best has changed"):
        command(moved)


def config_of(path: Path, **more: Any) -> dict[str, Any]:
    settings = {"dataset": "digits-lt", "weights": str(path), "start": ""}
    return {"settings": settings, **more} | recorded_files(settings)


def test_weights_file_is_identified_by_its_content(tmp_path: Path) -> None:
    file, folder = tmp_path / "w.pt", tmp_path / "run"
    torch.save({"a": torch.zeros(2)}, file)
    begun = config_of(file, alternatives={"bcl": {"weights": str(file)}})
    assert not RunFolder(folder).claim(begun, {}, may_differ=())
    copy = tmp_path / "copy.pt"
    file.rename(copy)
    now = config_of(copy, alternatives={"bcl": {"weights": str(copy)}})
    assert RunFolder(folder).claim(now, {}, may_differ=())
    assert RunFolder(folder).config() == now
    with pytest.raises(UsageError, match="`dataset` is 'digits-lt' there"):  # all other settings are still compared
        RunFolder(folder).claim({**now, "settings": now["settings"] | {"dataset": "other"}}, {}, may_differ=())


def test_deleted_weights_file_keeps_its_recorded_digest(tmp_path: Path) -> None:
    file, folder = tmp_path / "w.pt", tmp_path / "run"
    file.write_bytes(b"weights")
    RunFolder(folder).claim(config_of(file), {}, may_differ=())
    file.unlink()
    assert RunFolder(folder).claim(config_of(file), {}, may_differ=())
    file.write_bytes(b"others")
    with pytest.raises(UsageError, match="a different content of `weights`"):
        RunFolder(folder).claim(config_of(file), {}, may_differ=())


def test_run_without_recorded_digest_is_compared_by_path(tmp_path: Path) -> None:
    file, folder = tmp_path / "w.pt", tmp_path / "run"
    file.write_bytes(b"weights")
    earlier = {"settings": config_of(file)["settings"]}
    RunFolder(folder).claim(earlier, {}, may_differ=())
    assert RunFolder(folder).claim(config_of(file), {}, may_differ=())
    assert yaml.safe_load(RunFolder(folder).config_file.read_text())["given_files"]
    RunFolder(tmp_path / "two").claim(earlier, {}, may_differ=())
    with pytest.raises(UsageError, match="`weights` is"):
        RunFolder(tmp_path / "two").claim(config_of(file.rename(tmp_path / "moved.pt")), {}, may_differ=())


def test_trial_gets_the_settings_that_the_command_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first_run: Path
) -> None:
    """The trial does not read the data-set file again, which may be edited, nor the network's former path."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\nsource: digits\nimage_size: 8\ntest_per_class: 5\n")
    space = SearchSpace.read(find("crt"), {"dataset": "mine.yaml", "start": "first/best"})
    drawn = {"dataset": "mine.yaml", "methods": ["crt"], "start": "/before/best", "dataset.test_per_class": 7}
    file.unlink()
    settings = as_read(json.loads(json.dumps(drawn)), space)
    assert settings["dataset"] == settings["dataset.name"] == "mine"
    assert settings["dataset.image_size"] == 8 and settings["dataset.test_per_class"] == 7
    assert settings["start"] == str(first_run / "best")
    assert "weights" not in settings


@pytest.mark.parametrize("name", ["start", "weights"])
def test_paths_become_absolute_and_names_do_not_change(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/someone")
    assert RunSettings.check_value(name, "a/b") == str(tmp_path / "a/b")
    assert RunSettings.check_value(name, "~/b") == "/home/someone/b"
    assert RunSettings.check_value("weights", "imagenet") == "imagenet"
    assert RunSettings.check_value(name, "") == ""


DEFINITION = {f"dataset.{name}": "" for name in PLACES} | {"dataset.folder": "/old/images", "dataset": "pets"}


def data_of(**places: str) -> dict[str, Any]:
    """Return the configuration of a search on a data set with the given paths; one row has another data set."""
    settings = DEFINITION | {f"dataset.{name}": place for name, place in places.items()}
    return {
        "settings": settings,
        "alternatives": {"bcl": settings},
        "rows": [settings, {"dataset.folder": "/other", "output": "/old/images"}],
    }


@given(st.fixed_dictionaries({name: st.text("/ab.", max_size=4) for name in PLACES}))
def test_run_continues_on_moved_data_but_not_on_different_data(places: dict[str, str]) -> None:
    with TemporaryDirectory() as parent:
        folder, same, other = Path(parent) / "run", {"data_digest": "a1"}, {"data_digest": "b2"}
        RunFolder(folder).claim(data_of(), same, may_differ=())
        now = data_of(**places)
        if now != data_of():
            for digest in (other, {"data_digest": ""}, {}):
                with pytest.raises(UsageError, match="dataset.* is .* there and .* now"):
                    RunFolder(folder).claim(now, digest, may_differ=())
        assert RunFolder(folder).claim(now, same, may_differ=())
        assert RunFolder(folder).config() == now
        with pytest.raises(UsageError, match="`dataset` is 'pets' there"):
            RunFolder(folder).claim({**now, "settings": now["settings"] | {"dataset": "zoo"}}, same, may_differ=())
        with pytest.raises(UsageError, match="`rows` is "):  # the data set of another row is still compared
            RunFolder(folder).claim(
                {**now, "rows": [now["settings"], {"dataset.folder": "/third"}]}, same, may_differ=()
            )


def test_unknown_digest_does_not_match(tmp_path: Path) -> None:
    for digest in ({}, {"data_digest": ""}):
        RunFolder(tmp_path / str(digest)).claim(data_of(), digest, may_differ=())
        with pytest.raises(UsageError, match="`dataset.folder` is '/old/images' there and '/new' now"):
            RunFolder(tmp_path / str(digest)).claim(data_of(folder="/new"), digest, may_differ=())
