"""Durations of stages: steps and evaluations in CPU time, whatever other programs do."""

import time
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ltray.engine import timing
from ltray.engine.timing import StageTime, clock, time_stage
from ltray.study.cost import IMPORTED, LONGEST_START, measure
from ltray.testing import contract

CPU = torch.device("cpu")
SETTINGS = {"dataset.largest_class": 8, "dataset.imbalance_factor": 4, "methods": ["cross_entropy"]}


def compute(seconds: float) -> None:
    """Use the processor."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_clock_counts_the_time_of_the_processor_for_each_thread(one_thread: None) -> None:
    now = clock(CPU)
    started = now()
    time.sleep(0.2)  # another program has the processor
    compute(0.1)
    assert 0.1 <= now() - started < 0.15
    torch.set_num_threads(2)
    now = clock(CPU)
    started = now()
    compute(0.1)
    assert 0.05 <= now() - started < 0.09


def test_steps_and_evaluations_are_timed_without_the_waiting(one_thread: None, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = contract.small_experiment(SETTINGS)
    data = contract.open_small(experiment)
    (stage,) = experiment.stages(data.tail)

    def step(*_: object, **__: object) -> None:
        time.sleep(0.05)
        compute(0.03)

    monkeypatch.setattr(timing, "train_step", step)
    monkeypatch.setattr(type(stage), "logits", lambda self, images: compute(0.001 * len(images)))
    monkeypatch.setattr(type(stage), "prepare", lambda self, data: compute(0.04))
    images = sum(data.selection().share_sizes())
    found = time_stage(stage, data, CPU, images=images)
    assert found.steps == data.training(stage, None, seed=0).steps
    assert found.step == pytest.approx(0.03, abs=0.015)
    assert found.evaluation == pytest.approx(0.001 * images, rel=0.3)
    assert 0.04 <= found.preparation < 0.08


def test_measured_cost_has_every_part() -> None:
    experiment = contract.small_experiment(SETTINGS)
    data = contract.open_small(experiment)
    cost = measure(experiment, data, CPU)
    (stage,) = cost.stages
    assert stage.saving > 0 and stage.evaluation > 0 and (stage.step or 0) > 0
    assert IMPORTED <= cost.start < IMPORTED + 5 and 0 < IMPORTED <= LONGEST_START
    test, selected = len(data.splits.test.indices), sum(data.selection_counts)
    assert cost.ending == pytest.approx(stage.evaluation * (test + selected) / selected)


@given(
    epochs=st.integers(0, 400),
    steps=st.integers(1, 1000),
    each=st.lists(st.floats(0, 10), min_size=4, max_size=4),
)
def test_seconds_grow_with_every_part(epochs: int, steps: int, each: list[float]) -> None:
    step, evaluation, saving, preparation = each
    whole = StageTime(epochs, steps, step, evaluation, saving, preparation)
    assert whole.seconds >= StageTime(epochs, steps, step, evaluation).seconds >= max(epochs, 1) * evaluation
    assert StageTime(epochs, steps, None, evaluation).seconds == max(epochs, 1) * evaluation
