"""The metrics of an epoch besides its losses: gradient norm, queues, hardest pairs, distance of the average."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ltray.engine.ema import WeightAverage
from ltray.engine.memory_session import MemorySession
from ltray.engine.observations import observed_metrics
from ltray.engine.train_step import set_training_mode
from ltray.parts.contrast import ContrastBatch, hardest_similarities
from ltray.parts.key_queue import KeyQueue
from ltray.parts.queues import ClassQueue
from ltray.testing import contract

CONTRASTIVE = ("bcl", "paco", "gpaco", "multi_task", "supcon", "dscl", "rescom")
QUEUED = ("paco", "gpaco", "multi_task", "supcon", "dscl", "rescom", "moco")


def metrics_of(method: str, **knobs: object) -> dict[str, float]:
    settings = {"methods": [method]} | {f"{method}.{name}": value for name, value in ({"epochs": 1} | knobs).items()}
    return contract.run(contract.small_experiment(settings), MemorySession()).reports[0]


@pytest.mark.parametrize("method", CONTRASTIVE)
def test_contrastive_methods_report_the_hardest_pairs(method: str) -> None:
    found = metrics_of(method)
    assert -1.0 <= found["train/hardest_positive"] <= 1.0
    # The most similar of many negatives is more similar than the least similar positive, unless training is complete.
    assert found["train/hardest_positive"] < found["train/hardest_negative"] <= 1.0
    assert found["train/gradient_norm"] > 0.0
    assert ("train/queue_fill" in found) == (method in QUEUED)


def test_other_methods_report_no_pairs_and_no_queue() -> None:
    found = metrics_of("cross_entropy")
    assert not {"train/hardest_positive", "train/hardest_negative", "train/queue_fill"} & set(found)
    assert "train/average_distance" not in found
    assert 0.0 < metrics_of("cross_entropy", average_decay=0.9)["train/average_distance"] < 1.0


def test_a_limit_of_the_gradient_does_not_limit_what_is_reported() -> None:
    free, limited = (metrics_of("cross_entropy", clip_norm=clip) for clip in (0.0, 1e-6))
    assert limited["train/gradient_norm"] > 1e-3
    assert limited["train/gradient_norm"] == pytest.approx(free["train/gradient_norm"], rel=0.5)


def test_hardest_similarities_are_those_of_a_loop_over_the_pairs() -> None:
    rows = torch.nn.functional.normalize(torch.randn(8, 5), dim=1)
    batch = ContrastBatch.gathered([rows[:4], rows[4:]], torch.tensor([0, 1, 1, 2]))
    labels = [0, 1, 1, 2, 0, 1, 1, 2]
    least, most = [], []
    for i in range(8):
        least.append(min(float(rows[i] @ rows[j]) for j in range(8) if j != i and labels[j] == labels[i]))
        most.append(max(float(rows[i] @ rows[j]) for j in range(8) if labels[j] != labels[i]))
    found = batch.hardest_similarities()
    assert found["hardest_positive"].tolist() == pytest.approx([sum(least), 8], abs=1e-5)
    assert found["hardest_negative"].tolist() == pytest.approx([sum(most), 8], abs=1e-5)


def test_anchors_without_such_a_key_do_not_count() -> None:
    values = torch.tensor([[0.5, -torch.inf], [0.1, 0.2]])
    positives = torch.tensor([[False, False], [True, False]])
    found = hardest_similarities(values, positives, ~positives)
    assert found["hardest_positive"].tolist() == pytest.approx([0.1, 1])
    assert found["hardest_negative"].tolist() == pytest.approx([0.7, 2])


def test_a_mean_over_no_anchors_is_left_out() -> None:
    stage = small_stage("bcl")
    stage.observed = {"hardest_positive": torch.zeros(2), "hardest_negative": torch.tensor([1.5, 3.0])}
    assert observed_metrics(stage, None, []) == {"train/hardest_negative": 0.5}


def test_the_distance_of_the_average_is_relative() -> None:
    stage = small_stage("cross_entropy")
    set_training_mode(stage)
    average = WeightAverage(stage, 0.9)
    assert float(average.distance()) == 0.0
    with torch.no_grad():
        for tensor in average._live:
            tensor.mul_(2.0)
    assert float(average.distance()) == pytest.approx(0.5, rel=1e-5)  # |w − 2w| / |2w|


@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    pushes=st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=6), max_size=5),
)
def test_the_fill_of_queues_counts_the_images_of_each_class(sizes: list[int], pushes: list[list[int]]) -> None:
    by_class, plain = ClassQueue(sizes, 2), KeyQueue(sum(sizes), 2, classes=4, start="random")
    arrived = [label % len(sizes) for labels in pushes for label in labels]
    for labels in pushes:
        own = torch.tensor(labels) % len(sizes)
        by_class.push(torch.ones(len(own), 2) / math.sqrt(2), own)
        plain.push(torch.ones(len(own), 2), own)
    filled = sum(min(arrived.count(label), size) for label, size in enumerate(sizes))
    assert by_class.fill().tolist() == [filled, sum(sizes)]
    assert plain.fill().tolist() == [min(len(arrived), sum(sizes)), sum(sizes)]


def test_a_queue_saved_without_its_fill_counts_as_full() -> None:
    queue = ClassQueue([2, 3], 2)
    saved = {f"stage.{name}": value for name, value in queue.state_dict().items() if name != "filled"}
    whole = torch.nn.ModuleDict({"stage": ClassQueue([2, 3], 2)})
    whole.load_state_dict(saved)
    assert whole["stage"].fill().tolist() == [5, 5]


def small_stage(method: str):
    experiment = contract.small_experiment({"methods": [method]})
    return experiment.stages(contract.open_small(experiment).tail)[0]


def test_gradients_of_an_earlier_stage_do_not_count() -> None:
    settings = {"methods": ["cross_entropy", "crt"], "cross_entropy.epochs": 1, "crt.epochs": 2}
    whole = contract.run(contract.small_experiment(settings), MemorySession()).reports
    session = contract.InterruptedSession(2)
    with pytest.raises(contract.Interrupted):
        contract.run(contract.small_experiment(settings), session)
    resumed = contract.run(contract.small_experiment(settings), MemorySession(session.saved)).reports
    assert resumed[-1]["train/gradient_norm"] == whole[-1]["train/gradient_norm"]
