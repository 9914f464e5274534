"""The shipped search spaces: one per method, valid on every small data set."""

import optuna
import pytest

from ltray.experiment import Experiment
from ltray.methods import METHODS
from ltray.space.search_space import SearchSpace
from tests.paths import ROOT

SPACES = ROOT / "search_spaces"
FOUND = {path.stem: path for path in sorted(SPACES.glob("*.yaml"))}
# Accuracy does not depend on a temperature. Class means have no knobs.
NOTHING_TO_SEARCH = {"temperature", "nearest_class_mean"}
SEVERAL = {"quickstart", "which-method", "which-method-pretrained"}
CLASSES = {"cifar10-lt": 10, "cifar100-lt": 100, "digits-lt": 10}


def read(name, **overrides):
    """Read a shipped space; one that starts from a run gets a path that is only read in training."""
    start = {"start": "runs/earlier"} if "--from" in FOUND[name].read_text() else {}
    return SearchSpace.read(FOUND[name], start | overrides)


def test_every_method_has_a_space():
    assert FOUND.keys() - SEVERAL == METHODS.keys() - NOTHING_TO_SEARCH
    assert len(FOUND) == 30


@pytest.mark.parametrize("name", FOUND)
def test_first_line_of_a_space_is_its_command(name):
    first, second = FOUND[name].read_text().splitlines()[:2]
    assert first.startswith(f"# python -m ltray.tune search_spaces/{name}.yaml")
    assert second.startswith("# ") and second.rstrip(":").endswith(".")
    experiment = read(name).base
    assert ("--from" in first) == experiment.methods[0].needs_network
    assert name in {method.name for method in experiment.methods} | SEVERAL


@pytest.mark.parametrize("dataset", CLASSES)
@pytest.mark.parametrize("name", sorted(FOUND.keys() - {"quickstart"}))
def test_papers_setting_and_random_draws_are_valid_experiments(name, dataset):
    space = read(name, dataset=dataset).bind(CLASSES[dataset])
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    papers = space.first_trials()
    for first in papers:
        study.enqueue_trial(dict(first.params))
    for number in range(len(papers) + 6):
        settings = space.suggest(study.ask())
        experiment = Experiment.from_settings(settings)
        for knobs in experiment.knobs:
            knobs.check_classes(CLASSES[dataset])
        if number < len(papers):
            assert experiment == space.experiments()[number]
