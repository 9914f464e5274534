"""`python -m ltray.evaluate RUN [IMAGES]`: evaluate a checkpoint on validation, test or new labelled images."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from torch import Tensor

from ltray.arguments import path_argument, path_value, settings_value
from ltray.command import DONE, FAILED, exit_with
from ltray.console import new_console
from ltray.engine.evaluation import Evaluation
from ltray.errors import UsageError
from ltray.metrics import BALANCED, METRICS, UNBALANCED, counted, heading, shown_keys, title
from ltray.model_folder import ModelFolder
from ltray.parser import Parser
from ltray.published.check import Comparison, compare
from ltray.published.table import claim_table
from ltray.quantities import plural
from ltray.results.class_prior import ClassPrior, read_prior
from ltray.results.classifier import Classifier, best_device
from ltray.results.final_evaluation import accuracy_line
from ltray.results.intervals import mean_interval
from ltray.results.label_shift import ShiftedAccuracy, shifted_accuracies
from ltray.results.ledger import describe_look, note_look, run_of
from ltray.results.new_images import NewImagesEvaluated, evaluate_new_images
from ltray.results.predictions import Predictions, TrainedModel, recorded_tail
from ltray.run_folder import checkpoint_of
from ltray.settings import parse_assignments

LISTED = 10  # images that cannot be used
MEASURES = {key: one.title for key, one in METRICS.items() if not key.startswith("acc_")}


@dataclass(frozen=True)
class Findings:
    """The results of an evaluation.

    Attributes:
        checkpoint: The checkpoint's folder.
        trained: The model.
        predictions: Its logits on the evaluated split.
        look: Number of this look at the test images in the model's run or search, from 1; 0: no look.
        recorded: The evaluation on test images at the end of the run, if there is one.
        new_images: The new images that were evaluated; None for images of the data set.
        five_crops: The logits of the same images as means over five crops; None if not requested.
    """

    checkpoint: Path
    trained: TrainedModel
    predictions: Predictions
    look: int
    recorded: Mapping[str, Any] | None
    new_images: NewImagesEvaluated | None = None
    five_crops: Predictions | None = None

    @property
    def comparisons(self) -> list[Comparison]:
        """The comparison of the test accuracy with published figures; empty for validation images."""
        if self.predictions.split != "test":
            return []
        accuracy = mean_interval([self.predictions.metrics()["test/acc_all"]])
        return compare(self.trained.experiment.settings(), accuracy)

    def shifted(self, prior: ClassPrior | None = None, *, adapt: bool = False) -> list[ShiftedAccuracy]:
        """Return the accuracy if the classes had other shares, by exact reweighting.

        Args:
            prior: Shares of the classes, in addition to the long-tailed ones of LADE.
            adapt: Whether to also compute the accuracy of predictions that are adapted to each prior.

        Raises:
            UsageError: The scores of the model cannot be adapted, or no image is of a class with a share above 0.
        """
        predictions = self.predictions
        stated = {prior.source: prior.shares} if prior else {}
        adapted: Callable[[Tensor], Evaluation] | None = None
        if adapt:
            adaptation = Classifier(self.trained, self.checkpoint).adaptation

            def adapted(shares: Tensor) -> Evaluation:
                return Evaluation.of(adaptation.scores(predictions.logits, shares), predictions.labels)

        return shifted_accuracies(predictions.evaluation, predictions.tail.counts, stated=stated, adapted=adapted)


def run(
    model: str | PathLike[str],
    images: str | PathLike[str] | None = None,
    *,
    test: bool = False,
    five_crops: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> Findings:
    """Evaluate a checkpoint on the images on which epochs and trials are compared, the test set or new images.

    Args:
        model: Folder of a run, a search or a checkpoint.
        images: New labelled images in a form that `convert` takes: a folder with a folder for each class, a
            table, a zip or Parquet file. The model's data set is not needed, and its test images are not looked at.
        test: Whether to use the test images; each look at them is counted in the run folder.
        five_crops: Whether to classify the images a second time, by the mean of the scores of five crops (test-time
            ensembling). It is an option of the evaluation, not of the run: both results are of one checkpoint.
        settings: Fields of a data-set file that decide which form new images have, such as
            `{"label_column": "species"}`.

    Returns:
        The results: `.predictions.metrics()` are fractions of 1, `.predictions.logits` the scores (N, K).

    Raises:
        UsageError: There is no checkpoint, it is damaged, or its data are missing or have changed; new images
            cannot be used, or a class of them is not one of the model's.
    """
    given = settings_value(settings)
    checkpoint = checkpoint_of(path_value("model", model))
    if images is None and given:
        raise UsageError(f"`{next(iter(given))}` has no effect: it applies to new images, and none are given.")
    if images is not None and test:
        raise UsageError("`test` has no effect with new images: remove one of them.")
    trained = TrainedModel.open(checkpoint, best_device(), check="compare")
    recorded = ModelFolder(checkpoint).evaluation()
    if images is not None:
        place = path_value("images", images)
        tail = recorded_tail(trained, checkpoint)
        found, evaluated = evaluate_new_images(trained, place, given, tail=tail)
        cropped = evaluate_new_images(trained, place, given, tail=tail, five_crops=True)[0] if five_crops else None
        return Findings(checkpoint, trained, found, 0, recorded, evaluated, cropped)
    classify = trained.on_test if test else trained.on_selection
    predictions = classify()
    look = _note(checkpoint) if predictions.split == "test" else 0
    cropped = classify(five_crops=True) if five_crops else None
    return Findings(checkpoint, trained, predictions, look, recorded, None, cropped)


def main(words: list[str]) -> int:
    """Evaluate and print; exit code 1 if a new image cannot be used."""
    options = new_parser().parse(words)
    prior = _checked_prior(options.run, options.prior, adapt=options.adapt)
    findings = run(
        options.run,
        options.images,
        test=options.test,
        five_crops=options.five_crops,
        settings=parse_assignments(options.settings),
    )
    shifts = options.shift or prior is not None or options.adapt
    shifted = findings.shifted(prior, adapt=options.adapt) if shifts else []
    if options.json:
        print(json.dumps(as_json(findings, shifted), indent=1))
    else:
        _print(findings, new_console(), classes=options.classes, shifted=shifted)
    return FAILED if findings.new_images and findings.new_images.unusable else DONE


def _checked_prior(model: Path, file: Path | None, *, adapt: bool) -> ClassPrior | None:
    """Return the prior in a file, if there is one; called before test images are looked at.

    Raises:
        UsageError: The file cannot be used, or the scores of the model cannot be adapted.
    """
    if file is None and not adapt:
        return None
    checkpoint = checkpoint_of(path_value("model", model))
    classifier = Classifier(TrainedModel.open(checkpoint, best_device()), checkpoint)
    if adapt:
        _ = classifier.adaptation
    return None if file is None else read_prior(file, classifier.class_names)


def as_json(findings: Findings, shifted: Sequence[ShiftedAccuracy] = ()) -> dict[str, Any]:
    """Return all results of an evaluation as plain values; fractions of 1.

    Args:
        findings: What was found.
        shifted: The accuracies under other class priors; none: those that `Findings.shifted` returns by default.
    """
    trained, predictions = findings.trained, findings.predictions
    names, tail = trained.checkpoint.context["class_names"], predictions.tail
    groups, counts = tail.group_of(), tail.counts
    accuracy, seen = predictions.evaluation.per_class().tolist(), predictions.evaluation.seen.tolist()
    rows = [
        {"class": name, "group": group, "training_images": n, "images": images, "accuracy": share if images else None}
        for name, group, n, images, share in zip(names, groups, counts, seen, accuracy, strict=True)
    ]
    return {
        "checkpoint": str(findings.checkpoint),
        "epoch": trained.checkpoint.position.total_epochs,
        "split": predictions.split,
        "protocol": trained.experiment.dataset.protocol,
        "images": len(predictions.labels),
        "metrics": predictions.metrics(),
        "intervals": intervals(predictions),
        "five_crops": _crops_as_json(findings),
        "chosen": trained.chosen(),
        "test_look": findings.look,
        "new_images": _new_images_as_json(findings.new_images),
        "classes": rows,
        "label_shift": [_shift_as_json(one) for one in shifted or findings.shifted()],
        "claims": [
            {"claim": one.claim.where, "all": one.claim.all, "difference": one.difference, "verdict": one.text}
            for one in findings.comparisons
        ],
    }


def intervals(predictions: Predictions) -> dict[str, tuple[float, float]]:
    """Return the 95 % interval of each metric that is computed from counts of images, by its key in `metrics`."""
    return {
        f"{predictions.split}/{key}": predictions.evaluation.interval(key, predictions.tail)
        for key in counted(predictions.metrics(), predictions.split)
    }


def _shift_as_json(one: ShiftedAccuracy) -> dict[str, Any]:
    found: dict[str, Any] = {"prior": one.name, "accuracy": one.accuracy, "standard_error": one.standard_error}
    if one.adapted is not None:
        found |= {"adapted_accuracy": one.adapted, "adapted_standard_error": one.adapted_error}
    return found


def _new_images_as_json(images: NewImagesEvaluated | None) -> dict[str, Any] | None:
    if images is None:
        return None
    return {"path": str(images.place), "notes": list(images.notes), "unusable": list(images.unusable)}


def _crops_as_json(findings: Findings) -> dict[str, Any] | None:
    cropped = findings.five_crops
    if cropped is None:
        return None
    return {"margin": findings.trained.margin, "metrics": cropped.metrics(), "intervals": intervals(cropped)}


def _print(findings: Findings, console: Console, *, classes: bool, shifted: Sequence[ShiftedAccuracy]) -> None:
    trained, predictions = findings.trained, findings.predictions
    dataset = trained.experiment.dataset
    methods = " + ".join(method.name for method in trained.experiment.methods)
    epoch = trained.checkpoint.position.total_epochs
    print_line(console, f"{methods} on {dataset.name}, epoch {epoch}: {findings.checkpoint}")
    for note in findings.new_images.notes if findings.new_images else trained.data.notes:
        print_line(console, note)
    metrics = predictions.metrics()
    print_line(console, f"{_where(findings)}: {accuracy_line(metrics, predictions.split)}")
    if findings.new_images:
        _print_new_images(findings, findings.new_images, console)
    objective = _objective(findings)
    error = predictions.evaluation.standard_error(objective, predictions.tail)
    source = "the images and the folds" if predictions.folds is not None else "the number of images"
    print_line(console, f"  standard error of {title(objective)} from {source}: ± {100 * error:.1f} points")
    measures = "  ".join(f"{word} {100 * metrics[f'{predictions.split}/{key}']:.1f}" for key, word in MEASURES.items())
    chosen = "  ".join(f"{symbol} = {value:.4g}" for symbol, value in trained.chosen().items())
    by_run = "chosen by the run" if findings.new_images else "chosen on these images"
    print_line(console, f"  {measures} (of 100; ECE over 15 bins){f'  {by_run}: {chosen}' if chosen else ''}")
    if cropped := findings.five_crops:
        line = accuracy_line(cropped.metrics(), cropped.split)
        print_line(console, f"mean over five crops (margin {plural(findings.trained.margin, 'pixel')}): {line}")
    if findings.look:
        style = "yellow" if findings.look > 1 else None
        console.print(f"this is the {describe_look(findings.look)}", style=style)
    if findings.recorded and predictions.split == "val":
        known = accuracy_line(findings.recorded["metrics"], "test")
        print_line(console, f"test images, evaluated at the end of the run: {known}")
    if findings.comparisons:
        console.print(claim_table({"this model": findings.comparisons}))
    if shifted:
        console.print(_shift_table(shifted))
    if classes:
        console.print(_class_table(findings))


def _objective(findings: Findings) -> str:
    """Return the run's objective; or the accuracy if new images have no class of its group."""
    objective, split = findings.trained.experiment.objective, findings.predictions.split
    return objective if f"{split}/{objective}" in findings.predictions.metrics() else BALANCED


def _print_new_images(findings: Findings, images: NewImagesEvaluated, console: Console) -> None:
    split = findings.predictions.split
    shown = {key.removeprefix(f"{split}/"): ends for key, ends in intervals(findings.predictions).items()}
    ends = "  ".join(
        f"{heading(key)} {100 * shown[key][0]:.1f} to {100 * shown[key][1]:.1f} %"
        for key in shown_keys(UNBALANCED)
        if key in shown
    )
    print_line(console, f"  95 % intervals: {ends}")
    for one in images.unusable[:LISTED]:
        console.print(f"  not used: {one}", style="red", soft_wrap=True)
    if more := len(images.unusable[LISTED:]):
        console.print(f"  not used: {more:,} more", style="red")


def print_line(console: Console, line: str) -> None:
    """Print a line unchanged."""
    console.print(line, soft_wrap=True)


def _where(findings: Findings) -> str:
    count = f"{len(findings.predictions.labels):,}"
    if findings.new_images:
        return f"new images: {count}"
    if findings.predictions.split == "val":
        folds = findings.trained.experiment.dataset.folds
        return f"{count} images, {folds}-fold cross-validation" if folds else f"{count} validation images"
    selected = findings.trained.experiment.dataset.protocol == "paper"
    return f"{count} test images{' (protocol paper: epochs were also selected on them)' if selected else ''}"


def _class_table(findings: Findings) -> Table:
    shown = Table(
        title="accuracy of each class, the most frequent first",
        caption=f"groups: {findings.predictions.tail.in_groups()}",
    )
    for column in ("class", "group", "training images", "images", "accuracy, %"):
        shown.add_column(column, justify="left" if column in ("class", "group") else "right")
    rows = sorted(as_json(findings)["classes"], key=lambda row: -row["training_images"])
    for row in rows:
        accuracy = "–" if row["accuracy"] is None else f"{100 * row['accuracy']:.1f}"
        shown.add_row(row["class"], row["group"], f"{row['training_images']:,}", str(row["images"]), accuracy)
    return shown


def _shift_table(shifted: Sequence[ShiftedAccuracy]) -> Table:
    shown = Table(
        title="accuracy if the classes had other shares (label shift)",
        caption="forward50: the most frequent training class is 50 times as frequent as the rarest; backward: reversed",
    )
    adapted = any(one.adapted is not None for one in shifted)
    for column in ("class prior", "accuracy, %", "standard error", *(("adapted, %", "± adapted") if adapted else ())):
        shown.add_column(column, justify="left" if column == "class prior" else "right")
    for one in shifted:
        cells = [one.name, f"{100 * one.accuracy:.1f}", f"± {100 * one.standard_error:.1f}"]
        if one.adapted is not None and one.adapted_error is not None:
            cells += [f"{100 * one.adapted:.1f}", f"± {100 * one.adapted_error:.1f}"]
        shown.add_row(*cells)
    return shown


def _note(checkpoint: Path) -> int:
    """Record a look at the test images in the ledger of the checkpoint's run; return its number."""
    run_folder, own = run_of(checkpoint), checkpoint.resolve()
    inside = own.relative_to(run_folder.resolve())
    return note_look(run_folder, f"ltray.evaluate --test of {inside if inside.parts else own.name}")


def new_parser() -> Parser:
    """Return the command's argument parser."""
    parser = Parser(
        "evaluate",
        description="Evaluate a checkpoint on the selection images, on the test set, or on new labelled images.",
    )
    parser.add_argument(
        "run", type=path_argument, metavar="RUN|CHECKPOINT", help="folder of a run, a search or a checkpoint"
    )
    parser.add_argument(
        "images",
        type=path_argument,
        nargs="?",
        metavar="IMAGES",
        help="new labelled images: a folder with a folder for each class, a table, a zip or Parquet file",
    )
    parser.add_settings("fields of new images where convert needs them too: label_column=species")
    parser.add_argument(
        "--test", action="store_true", help="use the test images; each look at them is counted in the run folder"
    )
    parser.add_argument(
        "--five-crops",
        action="store_true",
        help="also classify by the mean of the scores of five crops of each image (test-time ensembling)",
    )
    parser.add_argument(
        "--shift",
        action="store_true",
        help="print the accuracy under the forward and backward long-tailed class priors, imbalance factors 50 to 2",
    )
    parser.add_argument(
        "--prior",
        type=path_argument,
        metavar="FILE",
        help="as --shift, with the shares of the classes in a file first: JSON or a table with class and share",
    )
    parser.add_argument(
        "--adapt",
        action="store_true",
        help="as --shift, also with predictions that are adapted to each class prior",
    )
    parser.add_argument("--classes", action="store_true", help="print the accuracy of each class")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    return parser


if __name__ == "__main__":
    exit_with(main)
