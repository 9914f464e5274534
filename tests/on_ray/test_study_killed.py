"""The study survives SIGKILL at every database statement, and the search continues with equal decisions.

No cluster: the test calls the searcher like Tune, one trial at a time, in a process that kills itself.
"""

import os
import random
import signal
from pathlib import Path

import optuna
import pytest
import sqlalchemy

from ltray.metrics import CHECKPOINT_SCORE, PLANNED_EPOCHS
from ltray.on_ray.scheduler import EPOCHS
from ltray.on_ray.searcher import StudySearch
from ltray.on_ray.shutdown import GracefulStopper
from ltray.on_ray.tasks import TASK
from ltray.space.search_space import SearchSpace
from ltray.study.study import PROGRESS, open_study
from tests.on_ray import commands

SPACE = """
dataset: digits-lt
methods: [rescom]
explore:
  rescom.temperature: {from: 0.05, to: 0.5, log: true}
  rescom.queue_size: {from: 2, to: 32}
  rescom.hard_positives: {from: 1, to: 8}
search: {sampler: SAMPLER, trials: 5}
"""


@pytest.fixture
def new_space(tmp_path):
    def read(sampler):
        path = tmp_path / "space.yaml"
        path.write_text(SPACE.replace("SAMPLER", sampler))
        return SearchSpace.read(path).bind(10)

    return read


def drive(space: SearchSpace, folder: Path) -> None:
    """Open the study and run the rest of the search, like Tune with one trial at a time."""
    study = open_study(folder, space)
    searcher = StudySearch(study, space, metric="val/acc_all", trials=5, stopper=GracefulStopper())
    while isinstance(config := searcher.suggest("t"), dict):
        temperature = config[TASK].settings["rescom.temperature"]
        result = {}
        # Every third trial is stopped early, every fifth has a NaN, as functions of its setting.
        for epoch in (1, 2, 3)[: 2 if round(1e6 * temperature) % 3 == 0 else 3]:
            value = temperature + 0.1 * epoch
            result = {
                EPOCHS: epoch,
                PLANNED_EPOCHS: 3,
                "val/acc_all": value,
                CHECKPOINT_SCORE: value,
                "train/seconds": 2.0,
            }
            searcher.on_trial_result("t", result)
        if round(1e6 * temperature) % 5 == 0:
            result = {"failure": "not finite"}
        searcher.on_trial_complete("t", result)


def in_a_process(space: SearchSpace, folder: Path, *, statements: float = float("inf")) -> int:
    """Fork a process that drives the search and kills itself at the n-th statement; return its wait status.

    A process that finishes writes its number of statements.
    """
    folder.mkdir(exist_ok=True)
    child = os.fork()
    if child == 0:
        taken = 0

        def count(*_: object) -> None:
            nonlocal taken
            taken += 1
            if taken > statements:
                os.kill(os.getpid(), signal.SIGKILL)

        for event in ("before_cursor_execute", "commit"):
            sqlalchemy.event.listen(sqlalchemy.Engine, event, count)
        try:
            drive(space, folder)
            (folder / "statements").write_text(str(taken))
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1]


@pytest.fixture(scope="module", autouse=True)
def _imported(tmp_path_factory):
    """Import Optuna's lazy modules once here, instead of in every forked process."""
    optuna.create_study(storage=f"sqlite:///{tmp_path_factory.mktemp('warm') / 'study.sqlite3'}").ask()


def outcome(folder):
    return [
        (t.number, t.state.name, t.params, t.intermediate_values, t.value, t.user_attrs.get(PROGRESS))
        for t in commands.study_of(folder).get_trials()
    ]


def killed_and_resumed(space, folder, *, at):
    status = in_a_process(space, folder, statements=at)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, status
    assert in_a_process(space, folder) == 0, f"killed at statement {at}"
    return outcome(folder)


def uninterrupted(space, folder):
    """Return the outcome of a search without a kill, and the number of its statements."""
    assert in_a_process(space, folder) == 0
    trials = outcome(folder)
    assert len(trials) == 5 and trials[0][2]["rescom.temperature"] == 0.2
    return trials, int((folder / "statements").read_text())


@pytest.mark.parametrize(
    "sampler", ["tpe", *(pytest.param(s, marks=pytest.mark.slow) for s in ("random", "qmc", "cmaes"))]
)
def test_search_killed_at_any_database_statement_gives_the_same_study(new_space, tmp_path, sampler):
    space = new_space(sampler)
    complete, count = uninterrupted(space, tmp_path / "whole")
    for at in random.Random(str(tmp_path)).sample(range(count), 6):
        assert killed_and_resumed(space, tmp_path / f"at-{at}", at=at) == complete, f"killed at statement {at}"


@pytest.mark.slow
def test_search_killed_at_every_database_statement_gives_the_same_study(new_space, tmp_path):
    space = new_space("tpe")
    complete, count = uninterrupted(space, tmp_path / "whole")
    for at in range(count):
        assert killed_and_resumed(space, tmp_path / f"at-{at}", at=at) == complete, f"killed at statement {at}"
