"""Evaluation after an epoch, and the values that a stage chooses, on validation images or in a cross-validation."""

from contextlib import nullcontext

from ltray.engine.ema import WeightAverage
from ltray.engine.evaluation import Evaluation, classify_on_all_workers, evaluate
from ltray.engine.features import evaluates_features
from ltray.engine.held_out import HeldOut
from ltray.engine.session import Run
from ltray.errors import UsageError
from ltray.metrics import fold_key, standard_error_key
from ltray.stage import Data, Stage


def prepare(stage: Stage, data: Data, index: int, held_out: HeldOut | None) -> None:
    """Prepare a stage; values that it chooses on validation images are, in the last training, those of the folds.

    Args:
        stage: The stage, before its first epoch.
        data: The data set.
        index: Index of the stage in the run.
        held_out: The scores of the cross-validation of which the run is a part; None: there is none.
    """
    untrained = stage.recipe.epochs == 0
    if held_out and untrained and (values := held_out.chosen_by_folds(index)):
        stage.adopt(values)
        return
    stage.prepare(data.without_augmentation())
    if held_out and untrained:
        held_out.keep_chosen(index, stage.chosen())


def evaluate_epoch(
    stage: Stage, data: Data, average: WeightAverage | None, run: Run, *, epoch: int
) -> dict[str, float]:
    """Return the metrics of a stage, evaluated with its averaged weights if it has them.

    In a cross-validation they are those of the folds so far after the same epoch.

    Args:
        stage: The stage.
        data: The data set.
        average: The average of its weights; None: there is none.
        run: The constants of the run.
        epoch: From 0, over all stages.

    Raises:
        UsageError: The objective has no value on this data.
    """
    with average.in_place() if average else nullcontext():
        found = _evaluation(stage, data, run, epoch)
    metrics = found.metrics(data.tail, run.selection)
    if run.metric not in metrics:
        raise UsageError(f"The objective `{run.objective}` has no value: no selection image is of such a class.")
    if run.held_out and run.held_out.fold is None:
        values = found.fold_values(run.objective, data.tail)
        metrics |= {fold_key(run.metric, fold): value for fold, value in enumerate(values)}
    return metrics | {standard_error_key(run.metric): found.standard_error(run.objective, data.tail)}


def _evaluation(stage: Stage, data: Data, run: Run, epoch: int) -> Evaluation:
    held_out, classes = run.held_out, data.tail.classes
    if held_out and held_out.fold is None:
        return held_out.evaluation(epoch)
    images = data.selection_features(stage) if evaluates_features(stage) else data.selection()
    if not held_out:
        return evaluate(stage, images, classes=classes, device=run.device)
    held_out.add(epoch, *classify_on_all_workers(stage, images, classes=classes, device=run.device))
    return held_out.evaluation(epoch)
