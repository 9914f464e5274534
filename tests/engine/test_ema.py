"""The moving average of the weights: its values, its use, and state that it does not change."""

import pytest
import torch

from ltray.engine.ema import WeightAverage, averaged_tensors
from ltray.engine.evaluation import evaluate
from ltray.engine.memory_session import MemorySession
from ltray.engine.train_step import set_training_mode
from ltray.errors import UsageError
from ltray.experiment import load_network, restore
from ltray.testing import contract

SETTINGS = {"methods": ["rescom"], "rescom.epochs": 2, "rescom.warmup_epochs": 0}


def stage_of(settings=SETTINGS):
    experiment = contract.small_experiment(settings)
    stage = experiment.stages(contract.open_small(experiment).tail)[0]
    set_training_mode(stage)
    return stage


def saved_run(settings):
    session = MemorySession()
    outcome = contract.run(contract.small_experiment(settings), session)
    return outcome, session.resume()


def test_average_equals_the_recursion_over_every_step():
    stage, decay = stage_of(), 0.5
    average = WeightAverage(stage, decay)
    expected = [tensor.clone() for tensor in averaged_tensors(stage)]
    for step in range(12):
        for index, tensor in enumerate(averaged_tensors(stage)):
            tensor.data = tensor + step
            share = min(decay, (1 + step) / (10 + step))
            expected[index] = share * expected[index] + (1 - share) * tensor
        average.update(step)
    state = average.state(torch.nn.ModuleList([stage]))
    with average.in_place():
        for got, wanted in zip(averaged_tensors(stage), expected, strict=True):
            torch.testing.assert_close(got.data, wanted.data)
    assert "0.network.classifier.weight" in state


def test_queue_and_counters_are_not_averaged():
    stage = stage_of()
    names = WeightAverage(stage, 0.9).state(stage)
    assert any(name.endswith("running_mean") for name in names)
    assert not any("queue" in name or name.endswith("num_batches_tracked") for name in names)


def test_training_is_the_same_with_and_without_an_average():
    plain, _ = saved_run(SETTINGS)
    averaged, checkpoint = saved_run(SETTINGS | {"rescom.average_decay": 0.9})
    contract.assert_same_state(plain.state, checkpoint.stages, "with an average beside the weights")
    assert [r["loss/total"] for r in plain.reports] == [r["loss/total"] for r in averaged.reports]


def test_accuracy_and_predictions_are_those_of_the_average(tmp_path):
    outcome, checkpoint = saved_run(SETTINGS | {"rescom.average_decay": 0.9})
    experiment, (stage,) = restore(checkpoint, contract.CPU)
    data = contract.open_small(experiment)
    found = evaluate(stage, data.selection(), classes=data.tail.classes, device=contract.CPU)
    assert found.metrics(data.tail, "val")["val/acc_all"] == outcome.reports[-1]["val/acc_all"]
    checkpoint.save(tmp_path)
    weight = load_network(tmp_path, data.tail).classifier.weight
    assert torch.equal(weight, checkpoint.average["0.network.classifier.weight"])
    assert not torch.equal(weight, checkpoint.stages["0.network.classifier.weight"])


def test_next_stage_starts_from_the_average():
    settings = {"methods": ["cross_entropy", "crt"], "cross_entropy.epochs": 1, "crt.epochs": 1}
    session = contract.InterruptedSession(1)
    experiment = contract.small_experiment(settings | {"cross_entropy.average_decay": 0.9})
    with pytest.raises(contract.Interrupted):
        contract.run(experiment, session)
    first = session.resume()
    last = contract.run(experiment, MemorySession(session.saved)).state
    frozen = [name for name in first.average if "backbone" in name and name.endswith("conv1.weight")]
    assert frozen
    for name in frozen:
        assert torch.equal(last[name], first.average[name])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"methods": ["cross_entropy", "tau_norm"], "tau_norm.average_decay": 0.9}, "no effect with epochs=0"),
        ({"methods": ["cross_entropy", "dlsa"], "dlsa.average_decay": 0.9}, "restores the weights"),
    ],
)
def test_average_without_effect_is_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        experiment = contract.small_experiment(settings)
        experiment.stages(contract.open_small(experiment).tail)
