"""Runs of earlier versions open: an absent setting has the value that means the behaviour of that time."""

import json
import shutil
from collections.abc import Callable, Generator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ltray import evaluate, load, predict, train
from ltray.checkpoints import complete_checkpoints
from ltray.data.definition import DatasetDefinition
from ltray.engine.checkpoint import Checkpoint
from ltray.errors import UsageError
from ltray.experiment import Experiment
from ltray.methods import METHODS
from ltray.recipe import Recipe
from ltray.recorded_settings import recorded_settings
from ltray.results.final_evaluation import keep_evaluated
from ltray.results.folder_session import FolderSession
from ltray.run_folder import RunFolder, checkpoint_of
from ltray.run_settings import RunSettings
from ltray.seal import read_sealed, write_listed, write_sealed
from ltray.space.catalog import find
from ltray.space.search_space import SearchSpace
from ltray.testing import contract

SEQUENCES = [(name,) for name, method in METHODS.items() if not method.needs_network] + [
    ("cross_entropy", "crt", "los")
]


def added(of: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that an earlier version did not have, with the values that mean its behaviour."""
    owners = {"": RunSettings, "dataset": DatasetDefinition} | {name: METHODS[name].knobs for name in METHODS}
    specs = {key: owners[key.rpartition(".")[0]].specs().get(key.rpartition(".")[2]) for key in of}
    return {key: spec.before for key, spec in specs.items() if spec and spec.before is not None}


def older(of: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as the first version would have recorded them."""
    return {key: value for key, value in of.items() if key not in added(of)}


@cache
def settings_of(*methods: str) -> Mapping[str, Any]:
    """Complete settings of a run."""
    return contract.small_experiment({"methods": list(methods)}).settings()


@settings(max_examples=60)
@given(methods=st.sampled_from(SEQUENCES), data=st.data())
def test_absent_settings_have_the_values_of_their_time(methods: tuple[str, ...], data: st.DataObject) -> None:
    now = settings_of(*methods)
    known = added(now)
    knobs = {f"{name}.{knob}" for name in methods for knob in ("optimizer", "decay_norms", "clip_norm")}
    assert knobs | {"bottleneck", "dataset.split_column"} <= known.keys()
    absent = data.draw(st.sets(st.sampled_from(sorted(known))))
    before = {key: value for key, value in now.items() if key not in absent}
    found = recorded_settings(before)
    assert found == {**now, **{key: known[key] for key in absent}}
    assert recorded_settings(found) == found
    assert recorded_settings(dict(reversed(list(before.items())))) == found


@dataclass(frozen=True)
class LaterKnobs(Recipe):
    """Knobs whose defaults differ from the behaviour of earlier versions."""

    clip_norm: float = Recipe.redeclared("clip_norm", 1.0)
    decay_norms: bool = Recipe.redeclared("decay_norms", False)


def test_a_new_default_is_not_the_value_of_an_earlier_run(monkeypatch: pytest.MonkeyPatch) -> None:
    later = replace(METHODS["focal"], knobs=LaterKnobs, stages=lambda knobs, context: [])
    monkeypatch.setitem(METHODS, "focal", later)
    now = contract.small_experiment({"methods": ["focal"]})
    assert (now.knobs[0].clip_norm, now.knobs[0].decay_norms) == (1.0, False)
    earlier = Experiment.from_record(older(now.settings()))
    assert (earlier.knobs[0].clip_norm, earlier.knobs[0].decay_norms) == (0.0, True)
    mine = Experiment.from_record(older(now.settings()) | {"focal.clip_norm": 3.0})
    assert (mine.knobs[0].clip_norm, mine.knobs[0].decay_norms) == (3.0, True)


def test_a_method_of_another_package_is_completed_without_an_import() -> None:
    before = {"methods": ["not_imported.at_all:METHOD"], "gcl.epochs": 3, "seed": 0}
    assert recorded_settings(before)["gcl.optimizer"] == "sgd"


@pytest.mark.parametrize("methods", [None, 3, [3], "bcl"])
def test_settings_without_methods_are_unchanged(methods: Any) -> None:
    before = {"seed": 1} | ({} if methods is None else {"methods": methods})
    assert recorded_settings(before) == before


def as_earlier(folder: Path) -> None:
    """Rewrite a run folder in the form of a version without the later settings."""
    run = RunFolder(folder)
    for checkpoint, _ in [*complete_checkpoints(folder), (run.best.path, {})]:
        if (checkpoint / "checkpoint.pt").is_file():
            saved = Checkpoint.load(checkpoint)
            replace(saved, settings=older(saved.settings)).save(checkpoint)
    if run.config_file.is_file():
        config = yaml.safe_load(run.config_file.read_text())
        write_listed(run.config_file, yaml.safe_dump(config | {"settings": older(config["settings"])}))
    if run.best.evaluation_file.is_file():
        found = read_sealed(run.best.evaluation_file)
        write_sealed(run.best.evaluation_file, found | {"settings": older(found["settings"])})


def test_an_earlier_run_is_evaluated_predicted_from_and_continued_from(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "image.png"
    Image.new("RGB", (8, 8), (200, 20, 90)).save(image)

    def results() -> tuple[str, Any]:
        assert evaluate.main([str(finished_run)]) == 0
        evaluated = capsys.readouterr().out
        assert predict.main([str(finished_run), str(image), "--format", "json"]) == 0
        return evaluated, json.loads(capsys.readouterr().out)["predictions"]

    before = results()
    best = load(finished_run).best
    as_earlier(finished_run)
    assert "cross_entropy.optimizer" not in Checkpoint.load(checkpoint_of(finished_run)).settings
    assert results() == before
    assert load(finished_run).best == best
    second = contract.small_experiment({"methods": ["crt"], "start": str(checkpoint_of(finished_run))})
    stages = second.stages(contract.open_small(second).tail)
    assert stages[0].network.backbone is not None


class ThisProcess:
    """A launcher that trains in this process."""

    def train(
        self, settings: Mapping[str, Any], pins: object, *, folder: Path, notify: Callable[[str], object]
    ) -> Generator[dict[str, Any], None, None]:
        """Train to the end, and yield the metrics of every epoch."""
        session = Recording(folder)
        Experiment.from_settings(settings, complete=True).train(session, contract.CPU)
        yield from session.metrics

    def evaluate(self, folder: Path, checkpoint: Path, stamps: Mapping[str, Any]) -> dict[str, Any]:
        """Evaluate the best checkpoint."""
        return keep_evaluated(folder, checkpoint, contract.CPU, stamps=stamps)


class Recording(FolderSession):
    """A session of a folder that also keeps the metrics."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.metrics: list[dict[str, Any]] = []

    def report(self, metrics: Mapping[str, float], checkpoint: Checkpoint) -> None:
        """Save and keep."""
        super().report(metrics, checkpoint)
        self.metrics.append(dict(metrics))


def test_an_earlier_run_continues_bit_for_bit(
    digits_from_memory: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(train, "_launcher", lambda resources: nullcontext(ThisProcess()))
    words = ["--methods", "cross_entropy", "--dataset", "digits-lt", "dataset.largest_class=8", "epochs=3"]
    words += ["dataset.imbalance_factor=4", "batch_size=8"]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert train.main([*words, "--output", str(whole)]) == 0
    shutil.copytree(whole, cut)
    shutil.rmtree(cut / "best")
    for checkpoint, metrics in complete_checkpoints(cut):
        if metrics["total_epochs"] > 1:
            shutil.rmtree(checkpoint)
    run = RunFolder(cut)
    run.history_file.write_bytes(run.history_file.read_bytes().splitlines(keepends=True)[0])
    as_earlier(cut)
    capsys.readouterr()
    assert train.main([*words, "--output", str(cut)]) == 0
    assert "continues the run in" in capsys.readouterr().out
    one, two = (Checkpoint.load(complete_checkpoints(folder)[-1][0]) for folder in (whole, cut))
    contract.assert_same_checkpoint(one, two, "after a run of an earlier version was continued")
    as_earlier(cut)
    with pytest.raises(UsageError, match="`cross_entropy.clip_norm` is 0.0 there and 1.0 now"):
        train.main([*words, "clip_norm=1", "--output", str(cut)])


def test_an_earlier_search_over_methods_continues(tmp_path: Path) -> None:
    space = SearchSpace.read(find("which-method"), {"dataset": "digits-lt"})
    now = space.as_dict()
    then = now | {"settings": older(now["settings"])}
    then["alternatives"] = {name: older(own) for name, own in now["alternatives"].items()}
    folder = RunFolder(tmp_path / "search")
    assert not folder.claim(then, {}, may_differ=())
    assert "optimizer" not in folder.config_file.read_text()
    assert folder.claim(now, {}, may_differ=())
