"""The study's file: in any folder, with any name, and refused with a sentence if it cannot be used."""

import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

import optuna
import pytest
import sqlalchemy
from hypothesis import HealthCheck, given, settings
from optuna.trial import TrialState
from optuna_dashboard._storage_url import get_storage

from ltray.errors import UsageError
from ltray.results.paths import dashboard_command
from ltray.space.search_space import SearchSpace
from ltray.study import study_file
from ltray.study.progress import TrialProgress
from ltray.study.study import PROGRESS, ask, load_study, open_study, own_trials
from tests.damage import Damage, damages

SPACE = """
dataset: digits-lt
methods: [cross_entropy]
explore:
  cross_entropy.learning_rate: {from: 0.01, to: 0.1, log: true}
  cross_entropy.batch_size: [16, 32]
search: {trials: 6, sampler: random}
"""
NAMES = [
    "lr 10% [old] #1?x",
    "?",
    "#",
    "a&b=c;d",
    "{SCHEMA_VERSION}",
    'it\'s "quoted"',
    "back\\slash",
    "line\nbreak",
    "-rf",
    "Größe ümläut 学",
    os.fsdecode(b"latin1-\xe4"),
    "\x1b[31mred\x07",
    "%41+%2F",
    "file:x?mode=ro",
    ":memory:",
    "x" * 255,
]


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> SearchSpace:
    path = tmp_path_factory.mktemp("space") / "space.yaml"
    path.write_text(SPACE)
    return SearchSpace.read(path, {})


def searched(folder: Path, space: SearchSpace, trials: int = 3) -> optuna.Study:
    """Return a study with finished trials and a running one."""
    folder.mkdir(exist_ok=True)
    study = open_study(folder, space)
    for number in range(trials):
        trial, drawn = ask(study, space)
        for epoch in (1, 2):
            trial.report(drawn["cross_entropy.learning_rate"], epoch)
        trial.set_user_attr(PROGRESS, TrialProgress(epoch=2, metrics={"acc_all": 0.5}).text())
        if number < trials - 1:
            study.tell(trial, 0.1 * number)
    return study


def content(study: optuna.Study) -> list[object]:
    return [
        (t.number, t.state, t.values, t.params, t.distributions, t.user_attrs, t.intermediate_values)
        for t in study.get_trials()
        if t.state != TrialState.RUNNING
    ]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, space: SearchSpace) -> Path:
    folder = tmp_path_factory.mktemp("searches") / "search"
    searched(folder, space)
    return folder


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_moved_search_resumes_with_any_folder_name(
    study: Path, tmp_path: Path, space: SearchSpace, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(study, tmp_path / name)
    expected = content(load_study(study))
    again = open_study(tmp_path / name, space)
    assert content(again) == expected
    again.set_user_attr("note", name.encode(errors="replace").decode())
    assert os.listdir(tmp_path) == [name] and os.listdir(tmp_path / name) == ["study.sqlite3"]
    assert (tmp_path / name / "study.sqlite3").read_bytes() != (study / "study.sqlite3").read_bytes()
    monkeypatch.chdir(tmp_path)
    for folder in (Path(name), tmp_path / name):
        url, place = parsed_by_shell(dashboard_command(folder), tmp_path)
        monkeypatch.chdir(place)
        (known,) = get_storage(url).get_all_studies()
        assert content(optuna.load_study(storage=url, study_name=known.study_name)) == expected
        monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", ["lr 10% [old] #1?x", os.fsdecode(b"latin1-\xe4")], ids=ascii)
def test_new_search_has_its_study_in_its_folder(tmp_path: Path, space: SearchSpace, name: str) -> None:
    searched(tmp_path / name, space, trials=1)
    assert os.listdir(tmp_path) == [name] and os.listdir(tmp_path / name) == ["study.sqlite3"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, derandomize=True)
@given(damage=damages)
def test_damaged_study_reads_equal_or_is_named(study: Path, tmp_path: Path, space: SearchSpace, damage: Damage) -> None:
    folder = tmp_path / "damaged"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(study, folder)
    (folder / "trials" / "0000").mkdir(parents=True)
    damage.apply(folder / "study.sqlite3")
    try:
        found = open_study(folder, space)
    except UsageError as error:
        assert str(folder / "study.sqlite3") in str(error)
    else:
        assert content(found) == content(load_study(study))


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE trial_values SET value = 0.9",
        "UPDATE trial_params SET param_value = 0.02 WHERE param_name LIKE '%rate'",
        "UPDATE trial_intermediate_values SET intermediate_value = 0.9",
        "UPDATE trials SET state = 'PRUNED' WHERE state = 'COMPLETE'",
        "UPDATE trial_user_attributes SET value_json = '[]' WHERE key = 'settings'",
        "UPDATE trial_params SET distribution_json = replace(distribution_json, '0.1', '0.2')",
        "DELETE FROM trial_values",
        "UPDATE study_directions SET direction = 'MINIMIZE'",
    ],
)
def test_changed_value_in_the_database_is_detected(
    study: Path, tmp_path: Path, space: SearchSpace, change: str
) -> None:
    shutil.copytree(study, tmp_path / "changed")
    with sqlite3.connect(tmp_path / "changed" / "study.sqlite3") as database:
        assert database.execute(change).rowcount > 0
    with pytest.raises(UsageError, match=r"changed/study\.sqlite3: (is damaged: trial 0 differs|is not the study)"):
        open_study(tmp_path / "changed", space)


def test_attributes_added_by_a_viewer_are_accepted(study: Path, tmp_path: Path, space: SearchSpace) -> None:
    shutil.copytree(study, tmp_path / "viewed")
    with sqlite3.connect(tmp_path / "viewed" / "study.sqlite3") as database:
        for table, owner in (("trial", "trial_id"), ("study", "study_id")):
            for kind in ("user", "system"):
                columns = f"{table}_{kind}_attributes ({owner}, key, value_json)"
                database.execute(f"INSERT INTO {columns} VALUES (1, 'dashboard:note', '1')")
    open_study(tmp_path / "viewed", space)


def test_study_without_digests_is_read(study: Path, tmp_path: Path, space: SearchSpace) -> None:
    shutil.copytree(study, tmp_path / "earlier")
    with sqlite3.connect(tmp_path / "earlier" / "study.sqlite3") as database:
        assert database.execute("DELETE FROM trial_user_attributes WHERE key = 'sha256'").rowcount > 0
    assert len(own_trials(open_study(tmp_path / "earlier", space))) == 3


def foreign(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE photos (name TEXT)")


def newer(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("UPDATE alembic_version SET version_num = 'v99.0.0.a'")


def second(path: Path) -> None:
    optuna.create_study(storage=f"sqlite:///{path}", study_name="another")


def text(path: Path) -> None:
    path.write_text("no database")


def empty(path: Path) -> None:
    path.write_bytes(b"")
    (path.parent / "trials" / "0000").mkdir(parents=True)


def missing(path: Path) -> None:
    empty(path)
    path.unlink()


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


WRONG = {
    foreign: "is an SQLite database, but not a study of Optuna",
    newer: "compatible with the table schema .* updating optuna",
    second: "contains 2 studies, but a search has exactly one",
    text: "file is not a database",
    empty: "is empty, but trials/ contains trials of the search: restore the file from a copy",
    missing: "is missing, but trials/ contains trials",
    a_folder: "is a folder, not a file",
}


@pytest.mark.parametrize("make", WRONG, ids=lambda make: make.__name__)
def test_foreign_study_file_is_named_and_not_changed(study: Path, tmp_path: Path, space: SearchSpace, make) -> None:
    shutil.copytree(study, tmp_path / "search")
    path = tmp_path / "search" / "study.sqlite3"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(UsageError, match=f"study.sqlite3: .*{WRONG[make]}"):
        open_study(tmp_path / "search", space)
    assert (path.read_bytes() if path.is_file() else None) == before


def test_locked_study_is_named(
    study: Path, tmp_path: Path, space: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study_file, "LOCKED_FOR", 0.1)
    shutil.copytree(study, tmp_path / "search")
    path = tmp_path / "search" / "study.sqlite3"
    running = open_study(tmp_path / "search", space)
    with sqlite3.connect(path) as database:
        database.execute("BEGIN EXCLUSIVE")
        with pytest.raises(UsageError, match="another process has locked it for more than 0 s: end that process"):
            open_study(tmp_path / "search", space)
        with pytest.raises(UsageError, match="has locked it"), study_file.reporting_errors(path):
            ask(running, space)


def test_other_errors_are_not_changed(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), study_file.reporting_errors(tmp_path):
        raise ZeroDivisionError
    with pytest.raises(UsageError, match="cannot be written: the disk is full"), study_file.reporting_errors(tmp_path):
        try:
            raise sqlite3.OperationalError("database or disk is full")
        except sqlite3.Error as error:
            raise optuna.exceptions.StorageInternalError("commit") from error
    with (
        pytest.raises(UsageError, match="cannot be written: fix its permissions"),
        study_file.reporting_errors(tmp_path),
    ):
        raise sqlalchemy.exc.OperationalError("x", {}, sqlite3.OperationalError("attempt to write a readonly database"))


def parsed_by_shell(command: str, place: Path) -> tuple[str, str]:
    """Run a command in a shell; return the URL that optuna-dashboard would get, and its working folder."""
    script = f'optuna-dashboard() {{ printf "%s\\n%s" "$1" "$PWD"; }}\n{command}'
    output = subprocess.run(["bash", "-c", script], cwd=place, capture_output=True, check=True).stdout
    url, _, folder = os.fsdecode(output).partition("\n")
    return url, folder
