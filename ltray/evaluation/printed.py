"""An evaluation on the terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from ltray.evaluation.findings import Findings, as_json, intervals
from ltray.metrics import BALANCED, METRICS, UNBALANCED, heading, shown_keys, title
from ltray.published.table import claim_table
from ltray.quantities import plural
from ltray.results.final_evaluation import accuracy_line
from ltray.results.label_shift import ShiftedAccuracy
from ltray.results.ledger import describe_look
from ltray.results.new_images import NewImagesEvaluated

LISTED = 10  # images that cannot be used
MEASURES = {key: one.title for key, one in METRICS.items() if not key.startswith("acc_")}


def print_findings(findings: Findings, console: Console, *, classes: bool, shifted: Sequence[ShiftedAccuracy]) -> None:
    """Print an evaluation.

    Args:
        findings: The evaluation.
        console: Where it is printed.
        classes: Whether the accuracy of each class is printed.
        shifted: The accuracies under other class priors to print.
    """
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
        console.print(class_table(findings))


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


def class_table(findings: Findings) -> Table:
    """Return the table of the accuracy of each class."""
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
