"""What a command checks before it starts a process, instead of leaving it to the workers."""

from collections.abc import Sequence

from ltray.data.views import check_views
from ltray.errors import UsageError
from ltray.experiment import Experiment
from ltray.long_tail import LongTail
from ltray.parts.batch_norm import check_over_workers
from ltray.recipe import check_shared


def check_start(experiment: Experiment, tail: LongTail, class_names: Sequence[str], *, workers: int = 1) -> None:
    """Check what a worker would otherwise find; no weights are loaded, and no image is read.

    Args:
        experiment: The run.
        tail: Class counts of the training set.
        class_names: Names of its classes, in label order.
        workers: The number of workers.

    Raises:
        UsageError: The data, the weights or the network do not have what a method needs.
    """
    if tail.total < workers:
        raise UsageError(f"{tail.total} training images are too few for {workers} workers.")
    for stage in experiment.untrained_stages(tail):
        stage.check(tail, class_names)
        if stage.source == "images" and stage.recipe.epochs:
            check_views(stage.views, experiment.dataset)
        if workers > 1:
            check_over_workers(stage)


def check_batches(experiment: Experiment, workers: int) -> None:
    """Check that every batch can be divided equally among the workers.

    Args:
        experiment: The run.
        workers: The number of workers.

    Raises:
        UsageError: It cannot; the message contains the knob's name and a possible number.
    """
    for method, knobs in zip(experiment.methods, experiment.knobs, strict=True):
        for name, value in knobs.as_dict().items():
            if name.endswith("batch_size") and knobs.epochs and knobs.has_effect(name):
                check_shared(f"`{method.name}.{name}`", value, workers)
