"""The contract of methods, checked for each entry of METHODS."""

import pytest
import torch

from ltray.errors import UsageError
from ltray.methods import METHODS
from ltray.testing import contract
from ltray.testing.check import short_settings


def small_settings(name):
    """Settings that train a method in a second or two: two epochs of every stage."""
    return short_settings(METHODS[name])


@pytest.fixture(params=sorted(METHODS))
def experiment(request):
    return contract.small_experiment(small_settings(request.param))


def test_interrupted_run_equals_an_uninterrupted_one(experiment):
    trains = any(knobs.epochs for knobs in experiment.knobs)  # a run without epochs cannot be interrupted
    assert contract.check_resume(experiment) >= trains


@pytest.mark.parametrize(
    "methods",
    [
        ["cross_entropy", "crt", "tau_norm"],
        pytest.param(["bcl", "tau_norm", "temperature"], marks=pytest.mark.slow),
        pytest.param(["paco", "dlsa"], marks=pytest.mark.slow),
        pytest.param(["rescom", "crt", "post_hoc_adjustment"], marks=pytest.mark.slow),
        pytest.param(["mixup", "las", "dlsa"], marks=pytest.mark.slow),
        pytest.param(["ride", "ride_distilled"], marks=pytest.mark.slow),
    ],
    ids="-".join,
)
def test_interrupted_sequence_equals_an_uninterrupted_one(methods):
    wanted = [item for name in methods for item in small_settings(name).items()]
    knobs = {key: value for key, value in wanted if key.partition(".")[0] in methods}
    cuts = contract.check_resume(contract.small_experiment({"methods": methods} | knobs))
    assert cuts >= len(methods)


REFUSED = {
    ("tau_norm", "one weight vector per class"): {"ride", "ride_distilled", "lws", "las", "dlsa", "post_hoc_adjustment"}
    | {"temperature"},
}


@pytest.mark.slow
@pytest.mark.parametrize("start", METHODS)
def test_every_second_stage_continues_from_any_method_or_is_refused(start):
    data = contract.open_small(contract.small_experiment({"methods": ["cross_entropy"]}))
    first = ["cross_entropy", start] if METHODS[start].needs_network else [start]
    for name in METHODS:
        if not METHODS[name].needs_network or name in first:
            continue
        experiment = contract.small_experiment({"methods": [*first, name]})
        refused = [reason for (method, reason), starts in REFUSED.items() if method == name and start in starts]
        if refused:
            with pytest.raises(UsageError, match=refused[0]):
                experiment.stages(data.tail)
            continue
        stage = experiment.stages(data.tail)[-1].eval()
        with torch.no_grad():
            assert stage.logits(torch.randn(2, 3, 8, 8)).shape == (2, data.tail.classes)


@pytest.mark.parametrize("name", ["rescom", "bcl"])
def test_two_workers_equal_one(name, two_workers):
    contract.check_workers(contract.small_experiment(small_settings(name)), two_workers)


@pytest.mark.slow
def test_two_workers_of_every_method_equal_one(experiment, two_workers):
    contract.check_workers(experiment, two_workers)


# ResCom has a queue; DSCL has a momentum copy, a queue and a second stage.
AVERAGED = ["rescom", "dscl"]


def averaged(name):
    return contract.small_experiment(small_settings(name) | {f"{name}.average_decay": 0.9})


@pytest.mark.parametrize("name", AVERAGED)
def test_interrupted_run_with_averaged_weights_equals_an_uninterrupted_one(name):
    assert contract.check_resume(averaged(name)) >= 1


@pytest.mark.parametrize("name", ["rescom", pytest.param("dscl", marks=pytest.mark.slow)])
def test_two_workers_with_averaged_weights_equal_one(name, two_workers):
    contract.check_workers(averaged(name), two_workers)


def test_every_stage_passes_the_contract(experiment):
    data = contract.open_small(experiment)
    for index, stage in enumerate(experiment.stages(data.tail)):
        if stage.recipe.epochs == 0:
            continue
        stage, batch = contract.first_batch(experiment, index)
        contract.check_gradients(stage, batch)
        contract.check_views(stage, batch)
        contract.check_low_precision(stage, batch)
        contract.check_one_class(stage, batch)
        contract.check_evaluation_changes_nothing(experiment, stage)


def test_settings_rebuild_the_same_experiment(experiment):
    assert type(experiment).from_settings(experiment.settings()) == experiment


def test_every_entry_has_its_own_name():
    assert {name: method.name for name, method in METHODS.items()} == {name: name for name in METHODS}
