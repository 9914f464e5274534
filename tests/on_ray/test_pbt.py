"""A population driven like by Tune: pauses, copies on the disk, and restarts of the driver."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest
import torch
from ray.tune.search import Searcher

from ltray.engine.checkpoint import Checkpoint, Position
from ltray.on_ray.pbt import PBTScheduler, PopulationSearch
from ltray.on_ray.shutdown import GracefulStopper
from ltray.on_ray.tasks import task_of
from ltray.on_ray.trial import resumable
from ltray.study.population import Population
from ltray.study.study import COPIES, SETTINGS

spec = importlib.util.spec_from_file_location("population", Path(__file__).parents[1] / "study" / "test_population.py")
shared = importlib.util.module_from_spec(spec)
spec.loader.exec_module(shared)

METRIC, EPOCHS, MEMBERS = "val/acc_all", 6, 4


class Died(Exception):
    pass


class Driver:
    """Runs two members at a time, one epoch each in turn; dies after a number of reports."""

    def __init__(self, folder, space, lives=10**6):
        self.trials, self.lives, self.lines, self.begun = folder / "trials", lives, [], 0
        storage = optuna.storages.RDBStorage(f"sqlite:///{folder / 'study.sqlite3'}")
        self.study = optuna.create_study(storage=storage, study_name="s", direction="maximize", load_if_exists=True)
        population, stopper = Population(every=2, epochs=EPOCHS, share=0.25, seed=0), GracefulStopper()
        self.search = PopulationSearch(
            self.study, space, metric=METRIC, trials=MEMBERS, stopper=stopper,
            population=population, trials_folder=self.trials, say=self.lines.append,
        )  # fmt: skip
        self.stopping = PBTScheduler(population, self.search, stopper, metric=METRIC, recorded={})
        self.running = []

    def run(self):
        """Train all members to the end."""
        while True:
            while len(self.running) < 2:
                self.begun += 1
                config = self.search.suggest(f"tune-{self.begun}")
                if not isinstance(config, dict):
                    break
                self.running.append(self.member(SimpleNamespace(trial_id=f"tune-{self.begun}", config=config)))
            if not self.running:
                assert config == Searcher.FINISHED
                return self
            for member in list(self.running):
                if next(member, None) is None:
                    self.running.remove(member)

    def member(self, trial):
        """Train one member, an epoch each time it is asked."""
        number = task_of(trial).number
        known = resumable(self.trials, number)
        weight, epoch = torch.tensor(float(number)), 0
        if known:  # reported again, like RaySession
            saved = Checkpoint.load(known[-1][0])
            weight, epoch = saved.stages["w"], saved.position.total_epochs
            if self.report(trial, epoch, dict(saved.metrics)):
                return
        while epoch < EPOCHS:
            epoch += 1
            metrics = {METRIC: float(weight) / 10 + epoch / 100, "total_epochs": epoch, "planned_epochs": EPOCHS}
            metrics |= {f"{METRIC}_best": metrics[METRIC], "checkpoint_score": metrics[METRIC]}
            folder = self.trials / task_of(trial).folder_name / f"checkpoint_{epoch:06d}"
            Checkpoint(Position(0, epoch, epoch), {"w": weight}, {}, {}, {}, metrics).save(folder)
            if self.report(trial, epoch, metrics):
                return
            yield epoch

    def report(self, trial, epoch, metrics):
        """Report an epoch to search and scheduler; return whether the member stops."""
        if self.lives == 0:
            raise Died
        self.lives -= 1
        stops = epoch == EPOCHS or self.stopping.on_trial_result(None, trial, metrics) == "STOP"
        if stops:
            self.search.on_trial_complete(trial.trial_id, metrics)
        else:
            self.search.on_trial_result(trial.trial_id, metrics)
        return stops

    def outcome(self):
        """Return the content of the study."""
        trials = self.study.get_trials()
        return [(t.state.name, t.value, t.user_attrs.get(COPIES), t.user_attrs[SETTINGS]) for t in trials]


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    return shared.space_of(tmp_path_factory.mktemp("space"), trials=MEMBERS)


@pytest.fixture(scope="module")
def uninterrupted(space, tmp_path_factory):
    return Driver(tmp_path_factory.mktemp("whole"), space).run()


def test_every_member_trains_and_the_worst_copies_weights_and_settings(uninterrupted):
    outcome = uninterrupted.outcome()
    assert [state for state, *_ in outcome] == ["COMPLETE"] * MEMBERS
    # Values grow with the trial's number, which is also the weight: 0 copies 3 at epoch 2, and 1 is then the worst.
    assert [copies for _, _, copies, _ in outcome] == [[[2, 3]], [[4, outcome[1][2][0][1]]], None, None]
    assert float(Checkpoint.load(resumable(uninterrupted.trials, 0)[-1][0]).stages["w"]) == 3.0
    assert outcome[0][1] == outcome[3][1]
    assert any("trial 0 copies trial 3 at epoch 2: learning_rate" in line for line in uninterrupted.lines)


def test_epochs_before_a_copy_are_not_the_best_of_a_member(uninterrupted):
    own = [
        metrics["total_epochs"] for folder, metrics in resumable(uninterrupted.trials, 0) if "copies" not in str(folder)
    ]
    assert own == [3, 4, 5, 6]


@pytest.mark.parametrize("lives", [1, 3, 7, 8, 9, 12, 16, 20])
def test_restarted_driver_makes_the_same_decisions(space, uninterrupted, tmp_path, lives):
    with pytest.raises(Died):
        Driver(tmp_path, space, lives).run()
    assert Driver(tmp_path, space).run().outcome() == uninterrupted.outcome()


@pytest.mark.parametrize("step", ["copy_checkpoint", "remove_discarded_checkpoints"])
def test_driver_restarted_during_an_exchange_makes_the_same_decisions(
    space, uninterrupted, tmp_path, monkeypatch, step
):
    driver = Driver(tmp_path, space)
    with monkeypatch.context() as broken:

        def die(*arguments):
            raise Died

        broken.setattr(f"ltray.on_ray.pbt.{step}", die)
        with pytest.raises(Died):
            driver.run()
    assert Driver(tmp_path, space).run().outcome() == uninterrupted.outcome()


@pytest.mark.parametrize("writes", [0, 1, 2, 4])
def test_driver_restarted_between_writes_of_an_exchange_makes_the_same_decisions(
    space, uninterrupted, tmp_path, monkeypatch, writes
):
    driver, left = Driver(tmp_path, space), [writes]
    commit, write = PopulationSearch._commit, optuna.Trial.set_user_attr

    def counted(*arguments):
        if left[0] == 0:
            raise Died
        left[0] -= 1
        write(*arguments)

    def dies_in(*arguments):
        with monkeypatch.context() as broken:
            broken.setattr(optuna.Trial, "set_user_attr", counted)
            commit(*arguments)

    with monkeypatch.context() as broken:
        broken.setattr(PopulationSearch, "_commit", dies_in)
        with pytest.raises(Died):
            driver.run()
    assert Driver(tmp_path, space).run().outcome() == uninterrupted.outcome()
