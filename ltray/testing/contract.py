"""Checks for every method: resume, workers, gradients, evaluation, views, numbers."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ltray.data.dataset import ImageData, open_data
from ltray.engine.checkpoint import Checkpoint
from ltray.engine.evaluation import classify
from ltray.engine.loop import train
from ltray.engine.memory_session import MemorySession
from ltray.engine.train_step import set_training_mode
from ltray.experiment import Experiment
from ltray.stage import Batch, Stage
from ltray.testing.worker_pool import WorkerPool

CPU = torch.device("cpu")

# scikit-learn's digits at their own 8 pixels: real images, a tenth of a second per epoch.
SMALL_DIGITS: Mapping[str, Any] = {
    "dataset": "digits-lt",
    "dataset.image_size": 8,
    "dataset.largest_class": 40,
    "dataset.imbalance_factor": 8,
}


class Interrupted(Exception):
    """Raised by `InterruptedSession` instead of killing the process."""


class InterruptedSession(MemorySession):
    """A session that ends the run after its `reports`-th report was saved.

    Args:
        reports: The number of reports before the interruption.
        start: Bytes of a checkpoint to resume from.
    """

    def __init__(self, reports: int, start: bytes | None = None) -> None:
        super().__init__(start)
        self._left = reports

    def report(self, metrics: Mapping[str, float], checkpoint: Checkpoint) -> None:
        """Save; raise after the last report."""
        super().report(metrics, checkpoint)
        self._left -= 1
        if self._left == 0:
            raise Interrupted


class RecordingSession(MemorySession):
    """A session that keeps the checkpoint of every epoch.

    Attributes:
        kept: Their bytes, oldest first.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[bytes] = []

    def report(self, metrics: Mapping[str, float], checkpoint: Checkpoint) -> None:
        """Store the checkpoint."""
        super().report(metrics, checkpoint)
        assert self.saved is not None
        self.kept.append(self.saved)


@dataclass(frozen=True)
class Outcome:
    """The result of a run.

    Attributes:
        reports: The metrics of every epoch.
        state: The final `state_dict` of all stages, and the average of the last one's weights.
    """

    reports: Sequence[Mapping[str, float]]
    state: Mapping[str, Tensor]


def small_experiment(settings: Mapping[str, Any]) -> Experiment:
    """Build an experiment on a small subset of the digits.

    Args:
        settings: `methods`, and knobs that replace the papers' values.
    """
    return Experiment.from_settings(dict(SMALL_DIGITS) | dict(settings))


def open_small(experiment: Experiment) -> ImageData:
    """Open the experiment's data in memory."""
    return open_data(experiment.dataset, device=CPU, source="memory")


def run(experiment: Experiment, session: MemorySession, *, double: bool = False) -> Outcome:
    """Train in this process and return the result of the run.

    Args:
        experiment: The experiment to train.
        session: Receives the reports, and has the checkpoint to resume from.
        double: Compute in float64, so that rounding does not hide a difference.
    """
    data = open_small(experiment)
    saved = session.resume()
    stages = experiment.stages(data.tail, saved=saved)
    if double:
        for stage in stages:
            stage.double()
            for module in stage.children():  # the inputs of a stage are batches, those of its parts are tensors
                for part in module.modules():
                    part.register_forward_pre_hook(_to_double)
    train(stages, data, session, experiment.run(CPU, data, saved=saved), saved=saved)
    final = session.resume()
    assert final is not None
    averages = {f"average.{name}": value for name, value in final.average.items()}
    return Outcome(session.reports, dict(final.stages) | averages)


def check_resume(experiment: Experiment) -> int:
    """Check that a run killed after any epoch continues, bit for bit, like an uninterrupted one.

    From each epoch's checkpoint, one more epoch must give the next checkpoint: state, average,
    optimiser, position, metrics. It follows that every interrupted run ends like the
    uninterrupted one. The check trains two epochs per epoch instead of one run per interruption.

    Returns:
        The number of interruptions that were tried.

    Raises:
        AssertionError: Metrics or state differ.
    """
    whole = RecordingSession()
    run(experiment, whole)
    for cut, (before, after) in enumerate(pairwise(whole.kept), start=1):
        session = InterruptedSession(1, start=before)
        with suppress(Interrupted):
            run(experiment, session)
        expected, got = MemorySession(after).resume(), session.resume()
        assert expected is not None and got is not None
        assert_same_checkpoint(expected, got, f"one epoch after an interruption at epoch {cut}")
    return len(whole.kept) - 1


def _to_double(module: torch.nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(x.double() if isinstance(x, Tensor) and x.is_floating_point() else x for x in inputs)


def run_from_settings(settings: Mapping[str, Any]) -> tuple[list[dict[str, float]], dict[str, Tensor]]:
    """Train an experiment in float64; each worker of `check_workers` calls this function.

    Returns:
        The comparable metrics of every epoch, and the final state.
    """
    outcome = run(Experiment.from_settings(settings, complete=True), MemorySession(), double=True)
    return [_comparable(metrics) for metrics in outcome.reports], dict(outcome.state)


def check_workers(experiment: Experiment, pool: WorkerPool, *, tolerance: float = 1e-6) -> None:
    """Check that N workers give the same losses, weights and queues as one.

    Args:
        experiment: Its batch size must be a multiple of the number of workers.
        pool: The workers.
        tolerance: Relative and absolute.

    Raises:
        AssertionError: The results differ.
    """
    reports, state = run_from_settings(experiment.settings())
    for other_reports, other_state in pool.run(run_from_settings, experiment.settings()):
        torch.testing.assert_close(other_reports, reports, rtol=tolerance, atol=tolerance)
        torch.testing.assert_close(other_state, state, rtol=tolerance, atol=tolerance)


def assert_same_state(expected: Mapping[str, Tensor], got: Mapping[str, Tensor], when: str) -> None:
    """Raise AssertionError unless two state dicts are equal bit for bit."""
    assert expected.keys() == got.keys(), f"state names differ {when}"
    different = [name for name in expected if not torch.equal(expected[name], got[name])]
    assert not different, f"{different[:5]} differ {when}"


def assert_same_checkpoint(expected: Checkpoint, got: Checkpoint, when: str) -> None:
    """Raise AssertionError unless two checkpoints are equal bit for bit, except for clock readings."""
    assert expected.position == got.position, f"positions differ {when}"
    assert _comparable(expected.metrics) == _comparable(got.metrics), f"metrics differ {when}"
    for name in ("stages", "average", "optimizer"):
        first, second = (dict(_tensors(getattr(checkpoint, name))) for checkpoint in (expected, got))
        assert_same_state(first, second, when)


def _tensors(content: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor of nested mappings and lists with its place; numbers count as tensors."""
    if isinstance(content, Tensor):
        yield name, content
    elif isinstance(content, int | float):
        yield name, torch.tensor(content, dtype=torch.float64)
    elif isinstance(content, Mapping | list | tuple):
        items = content.items() if isinstance(content, Mapping) else enumerate(content)
        for key, value in items:
            yield from _tensors(value, f"{name}.{key}" if name else str(key))


def _comparable(metrics: Mapping[str, float]) -> dict[str, float]:
    clocks = ("train/seconds", "train/images_per_second")
    return {name: value for name, value in metrics.items() if name not in clocks}


def first_batch(experiment: Experiment, index: int) -> tuple[Stage, Batch]:
    """Return stage `index`, prepared as in the engine, and its first batch."""
    data = open_small(experiment)
    stages = experiment.stages(data.tail)
    stage = stages[index]
    stage.prepare(data.without_augmentation())
    set_training_mode(stage)
    loader = data.training(stage, stage.select(data.without_augmentation()), seed=0)
    return stage, next(iter(loader.epoch(0)))


def check_losses(stage: Stage, batch: Batch) -> None:
    """Check that `forward` returns named finite scalars.

    Raises:
        AssertionError: It returns anything else.
    """
    terms = stage(batch)
    assert isinstance(terms, dict) and terms, f"forward must return a dictionary of loss terms, but returned {terms!r}"
    for name, value in terms.items():
        scalar = isinstance(value, Tensor) and value.dim() == 0
        assert scalar, f"the loss term {name!r} must be a scalar tensor, but is {_kind(value)}"
        assert torch.isfinite(value), f"the loss term {name!r} is {value:g}"


def _kind(value: object) -> str:
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"{value!r}"


def check_gradients(stage: Stage, batch: Batch) -> None:
    """Check that every trained parameter receives a gradient, and every frozen one receives none.

    Raises:
        AssertionError: A trained parameter receives no gradient, or a frozen one receives a gradient.
    """
    stage.zero_grad(set_to_none=True)
    sum(stage(batch).values(), torch.zeros(())).backward()
    for name, parameter in stage.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, f"{name} is trained but receives no gradient"
        else:
            assert parameter.grad is None, f"{name} is frozen but receives a gradient"


def check_evaluation_changes_nothing(experiment: Experiment, stage: Stage) -> None:
    """Check that an evaluation gives a score for each image and class, and changes neither state nor training modes.

    Raises:
        AssertionError: Something changed, or `logits` returns another shape.
    """
    data = open_small(experiment)
    before = {name: value.clone() for name, value in stage.state_dict().items()}
    modes = [module.training for module in stage.modules()]
    scores, labels = classify(stage, data.selection())
    expected = (len(labels), data.tail.classes)
    assert scores.shape == expected, f"logits must return (images, classes) = {expected}, but returned {scores.shape}"
    assert_same_state(before, stage.state_dict(), "after an evaluation")
    assert modes == [module.training for module in stage.modules()], "training modes changed"


def check_views(stage: Stage, batch: Batch) -> None:
    """Check that `forward` reads exactly the declared views: without any one of them it raises.

    Raises:
        AssertionError: A declared view is never read.
    """
    for view in stage.views if stage.source == "images" else ():
        rest = {name: images for name, images in batch.views.items() if name != view.name}
        try:
            stage(replace(batch, views=rest))
        except KeyError:
            continue
        raise AssertionError(f"view {view.name!r} is declared but not read")


def check_low_precision(stage: Stage, batch: Batch) -> None:
    """Check that every loss term is finite under bfloat16 autocast.

    Raises:
        AssertionError: A term is NaN or infinite.
    """
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms = stage(batch)
    for name, value in terms.items():
        assert torch.isfinite(value).all(), f"{name} is {value} in bfloat16"


def check_one_class(stage: Stage, batch: Batch) -> None:
    """Check that a batch of a single class gives finite terms.

    Raises:
        AssertionError: A term is NaN or infinite.
    """
    terms = stage(replace(batch, labels=torch.zeros_like(batch.labels)))
    for name, value in terms.items():
        assert torch.isfinite(value).all(), f"{name} is {value} with one class in the batch"
