"""Methods by name and by dotted path: found or refused, and run like the methods of ltray."""

from dataclasses import replace
from pathlib import Path

import pytest

from ltray.engine.memory_session import MemorySession
from ltray.errors import UsageError
from ltray.experiment import Experiment, restore
from ltray.methods import METHODS
from ltray.methods.__main__ import main as methods_command
from ltray.methods.find import RESERVED, find_method, methods_by_name
from ltray.setting_names import METHOD_LIST, complete_keys
from ltray.settings import method_names
from ltray.space.search_space import SearchSpace
from ltray.space.space_file import KEYS
from ltray.testing.contract import CPU, run, small_experiment
from tests.other_package import METHOD, other_package, unload, written

__all__ = ["other_package"]
PATH = "otherpackage.smooth:METHOD"
SHORT = {"methods": [PATH], "smooth.epochs": 1, "smooth.batch_size": 32}


@pytest.mark.parametrize("name", METHODS)
def test_method_is_found_by_name(name: str) -> None:
    assert find_method(name) is METHODS[name]


def test_path_of_a_method_of_ltray_gives_that_method() -> None:
    assert find_method("ltray.methods.bcl.method:METHOD") is METHODS["bcl"]


def test_method_is_found_by_dotted_path(other_package: str) -> None:
    found = find_method(PATH)
    assert (found.name, found.path, found.reference) == ("smooth", PATH, PATH)
    assert methods_by_name(["bcl", PATH]) == {"bcl": METHODS["bcl"], "smooth": found}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("METHOD = replace(METHOD, name='bcl')", "named `bcl`, as one of ltray's own; rename it"),
        *((f"METHOD = replace(METHOD, name='{name}')", f"named `{name}`, a part of the settings") for name in RESERVED),
        ("METHOD = replace(METHOD, name='my.gcl')", "the method's name is 'my.gcl'"),
        ("METHOD = replace(METHOD, name='')", "the method's name is ''"),
        ("METHOD = replace(METHOD, name=7)", "the method's name is 7"),
        ("METHOD = replace(METHOD, knobs=dict)", "`knobs` of the method must be a subclass of ltray.recipe.Recipe"),
        ("METHOD = replace(METHOD, knobs=None)", "`knobs` of the method must be a subclass"),
        ("METHOD = Smooth", "is the class `Smooth`, but must be a ltray.Method"),
    ],
)
def test_unusable_method_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, message: str) -> None:
    written(tmp_path, "unusable", method=f"{METHOD}\nfrom dataclasses import replace\n{source}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UsageError, match=message):
        find_method("unusable.method:METHOD")
    unload("unusable")


@pytest.mark.parametrize("name", ["otherpackage.smooth.METHOD", "mypackage.gcl"])
def test_path_without_colon_is_refused_with_a_hint(name: str) -> None:
    with pytest.raises(UsageError, match="A method of another package is given by its dotted path, such as `mypackage"):
        find_method(name)


def test_two_methods_with_one_name_are_refused(tmp_path: Path, other_package: str) -> None:
    (tmp_path / "otherpackage" / "again.py").write_text(METHOD)
    paths = [PATH, "otherpackage.again:METHOD"]
    with pytest.raises(UsageError, match=f"`{paths[0]}` and `{paths[1]}` are both named `smooth`"):
        small_experiment({"methods": paths})
    with pytest.raises(UsageError, match="are both named `smooth`"):
        complete_keys({"alpha": 0.2}, paths)


def test_reserved_names_are_those_of_search_spaces() -> None:
    assert set(KEYS) <= set(RESERVED)


def test_setting_keys_have_the_name_of_the_method(other_package: str) -> None:
    assert complete_keys({"alpha": "0.2"}, [PATH]) == {"smooth.alpha": 0.2}
    with pytest.raises(UsageError, match="`alpah` is not a setting. Did you mean `alpha`"):
        complete_keys({"alpah": 0.2}, [PATH])
    with pytest.raises(UsageError, match="0 <= alpha <= 0.9"):
        complete_keys({"alpha": 2}, [PATH])


def test_run_records_the_dotted_path_and_is_restored_from_it(other_package: str) -> None:
    experiment = small_experiment(SHORT | {"smooth.alpha": 0.3})
    settings = experiment.settings()
    assert settings[METHOD_LIST] == [PATH] and settings["smooth.alpha"] == 0.3
    assert method_names(settings) == ["smooth"]
    session = MemorySession()
    run(experiment, session)
    checkpoint = session.resume()
    assert checkpoint is not None
    unload(other_package)
    again, stages = restore(checkpoint, CPU)
    assert again.settings() == settings
    assert (stages[0].alpha, type(stages[0]).__module__) == (0.3, "otherpackage.smooth")
    assert Experiment.from_settings(settings, complete=True).settings() == settings


def test_run_with_a_missing_package_is_refused(other_package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = small_experiment(SHORT).settings()
    unload(other_package)
    monkeypatch.undo()  # the path
    with pytest.raises(UsageError, match="'otherpackage.smooth:METHOD': Python finds no module `otherpackage`"):
        Experiment.from_settings(settings, complete=True)


def test_names_of_methods_need_no_import() -> None:
    settings = {"methods": ["a.b:C", "crt", "d:E"], "seed": 1, "dataset.name": "x", "c.epochs": 1, "crt.epochs": 2}
    assert method_names(settings | {"e.epochs": 3}) == ["c", "crt", "e"]
    assert method_names({"methods": ["a.b:C"]}) == ["a.b:C"]


SPACE = f"""
dataset: digits-lt
methods: {{among: [{PATH}, [cross_entropy, tau_norm], focal]}}
explore:
  smooth.alpha: auto
  gamma: [0.5, 1.0]
fix: {{epochs: 2, schedule: cosine}}
search: {{trials: 4, first_try: [paper, {{smooth.alpha: 0.2}}]}}
"""


def test_search_explores_a_dotted_method(tmp_path: Path, other_package: str) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(SPACE)
    space = SearchSpace.read(file)
    assert [a.methods for a in space.alternatives] == [("smooth",), ("cross_entropy", "tau_norm"), ("focal",)]
    assert space.alternatives[0].fixed[METHOD_LIST] == [PATH]
    assert space.alternatives[0].with_drawn({"smooth.alpha": 0.25})[METHOD_LIST] == [PATH]
    assert space.headings()["smooth.alpha"] == "α"
    assert list(space.as_dict()["alternatives"]) == ["smooth", "cross_entropy, tau_norm", "focal"]
    tries = [dict(first.params) for first in space.first_trials()]
    assert {"methods": "smooth", "smooth.alpha": 0.2} in tries
    narrowed = SearchSpace.read(file, {"methods": [PATH], "explore.smooth.alpha": {"from": 0.0, "to": 0.2}})
    assert narrowed.base.methods == (find_method(PATH),)
    for wrong in (PATH.replace("smooth", "smoth"), "focal2"):
        with pytest.raises(UsageError, match=r"space\.yaml:3: .*(no module `smoth`|not a method)"):
            file.write_text(SPACE.replace("focal]", f"{wrong}]"))
            SearchSpace.read(file)


def test_rows_of_a_dotted_method_run(tmp_path: Path, other_package: str) -> None:
    file = tmp_path / "rows.yaml"
    file.write_text(f"dataset: digits-lt\nmethods: [{PATH}]\nrows:\n  - alpha: 0.0\n  - smooth.alpha: 0.2\n")
    space = SearchSpace.read(file)
    assert [row.experiment.knobs[0].as_dict()["alpha"] for row in space.rows] == [0.0, 0.2]
    assert space.rows[0].experiment.settings()[METHOD_LIST] == [PATH]


def test_knobs_of_a_dotted_method_are_shown(other_package: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert methods_command([PATH]) == 0
    assert "knobs of smooth" in capsys.readouterr().out


def test_shipped_methods_have_no_path() -> None:
    assert all(method == replace(method, path="") for method in METHODS.values())
