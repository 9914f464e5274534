"""`python -m ltray.predict CHECKPOINT IMAGES…`: class names and probabilities of image files."""

import argparse
import csv
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, TextIO

from rich.table import Table
from rich.text import Text

from ltray.arguments import check_writable, count_argument, name_or_path, path_argument, path_value
from ltray.command import DONE, FAILED, exit_with
from ltray.console import new_console
from ltray.csv_cell import csv_cell
from ltray.data.image_files import SUFFIXES, image_files
from ltray.data.sources.class_names import some
from ltray.errors import UsageError, shown
from ltray.parser import Parser
from ltray.printable import printable
from ltray.results.class_prior import ESTIMATE, ClassPrior, read_prior, stated_prior
from ltray.results.classifier import NOT_CALIBRATED, Classifier, Prediction, best_device
from ltray.results.conformal import ConformalSets
from ltray.run_folder import checkpoint_of
from ltray.typed import as_type


@dataclass(frozen=True)
class Predicted:
    """The predictions of a model.

    Attributes:
        checkpoint: The folder of the model.
        predictions: One for each file, in their order.
        temperature: The number by which scores were divided before the softmax.
        temperature_from: Its source, as text.
        sets: The calibration of the sets of classes; None without a coverage.
        always: Names of the classes with too few validation images, which are in every set.
        prior: The class shares to which the probabilities are adapted; None: they are not adapted.
        class_names: Names of all classes, in the order of `prior.shares`; () without it.
    """

    checkpoint: Path
    predictions: Sequence[Prediction]
    temperature: float
    temperature_from: str
    sets: ConformalSets | None = None
    always: tuple[str, ...] = ()
    prior: ClassPrior | None = None
    class_names: tuple[str, ...] = ()


def run(
    checkpoint: str | PathLike[str],
    images: str | PathLike[str] | Sequence[str | PathLike[str]],
    *,
    top: int = 5,
    coverage: float | None = None,
    five_crops: bool = False,
    prior: str | PathLike[str] | Mapping[str, float] | None = None,
) -> Predicted:
    """Classify image files with a trained model; `ltray.load(run).model()` also takes arrays and tensors.

    Args:
        checkpoint: Folder of a checkpoint, run or search.
        images: An image file, a folder of them, or several of either.
        top: Number of classes to list for each image, at least 1.
        coverage: Also predict the set of classes that contains an image's class with this probability, for each
            class, in (0, 1); see `ltray.results.conformal`. A set may be empty: no class is plausible.
        five_crops: Whether the scores of an image are the mean of those of five crops of it (test-time ensembling).
        prior: Shares of the classes among these images, to which the probabilities are adapted: a mapping, a file
            (JSON, or a table with the columns `class` and `share`), or "estimate" to estimate them from the images.

    Returns:
        The predictions; for a file that cannot be read, the prediction contains an error.

    Raises:
        UsageError: The model is missing or damaged, there is no image, or a value is illegal.
    """
    given = images if isinstance(images, Sequence) and not isinstance(images, str) else [images]
    places = [path_value("images", image) for image in given]
    folder = checkpoint_of(path_value("checkpoint", checkpoint))
    files = image_files(places)
    if not files:
        kinds = " ".join(SUFFIXES)
        raise UsageError(f"no image in {', '.join(map(printable, places))}; ltray reads these file types: {kinds}.")
    model = Classifier.open(folder, best_device())
    sets = None if coverage is None else model.conformal_sets(coverage)
    always = tuple(model.class_names[label] for label in sets.always) if sets else ()
    if prior is None:
        predictions = model.predict(files, top=top, sets=sets, five_crops=five_crops)
        return Predicted(folder, predictions, *model.calibration, sets, always)
    names, adaptation = model.class_names, model.adaptation
    shares = _prior(prior, names)
    predictions, used = model.predict_adapted(files, shares, top=top, sets=sets, five_crops=five_crops)
    return Predicted(folder, predictions, adaptation.temperature, adaptation.source, sets, always, used, names)


def _prior(prior: str | PathLike[str] | Mapping[str, float], classes: Sequence[str]) -> ClassPrior | None:
    """Return stated shares of the classes; None: they are to be estimated."""
    if isinstance(prior, Mapping):
        return stated_prior(prior, classes)
    if os.fspath(prior) == ESTIMATE:
        return None
    return read_prior(path_value("prior", prior), classes)


def main(arguments: list[str]) -> int:
    """Predict and print; the exit code is 1 if a file could not be read."""
    options = new_parser().parse(arguments)
    if options.output:
        check_writable(options.output, "--output")
    checkpoint = checkpoint_of(options.checkpoint)
    if checkpoint != options.checkpoint:
        print(f"model: {printable(checkpoint)}", file=sys.stderr)
    found = run(
        checkpoint,
        options.images,
        top=options.top,
        coverage=options.coverage,
        five_crops=options.five_crops,
        prior=options.prior,
    )
    stamps: dict[str, Any] = {"temperature": found.temperature, "temperature_from": found.temperature_from}
    if found.sets:
        stamps |= {"coverage": found.sets.coverage, "classes_in_every_set": list(found.always)}
        if found.always:
            print(
                f"in every set, since a coverage of {found.sets.coverage} needs {found.sets.needed} validation images "
                f"of a class: {', '.join(map(printable, found.always))}",
                file=sys.stderr,
            )
    if found.prior:
        stamps |= _prior_stamps(found.prior, found.class_names)
        for line in (_shares_line(stamps), *found.prior.notes):
            print(line, file=sys.stderr)
    with options.output.open("w", encoding="utf-8", newline="") if options.output else nullcontext(sys.stdout) as file:
        FORMATS[options.format](found.predictions, file, stamps)
    return FAILED if any(one.error for one in found.predictions) else DONE


def _prior_stamps(prior: ClassPrior, names: Sequence[str]) -> dict[str, Any]:
    shares = {name: round(share, 6) for name, share in zip(names, prior.shares.tolist(), strict=True)}
    return {"prior": shares, "prior_from": prior.source, "prior_notes": list(prior.notes)}


def _shares_line(stamps: Mapping[str, Any]) -> str:
    """Return the largest shares, and their source."""
    ordered = sorted(stamps["prior"].items(), key=lambda pair: -pair[1])
    shown_shares = [f"{printable(name)} {100 * share:.1f} %" for name, share in ordered]
    return f"class shares ({stamps['prior_from']}): {some(shown_shares)}"


def _write_json(found: Sequence[Prediction], file: TextIO, stamps: Mapping[str, Any]) -> None:
    rows = [
        {"path": str(one.path), "error": one.error}
        if one.error
        else {
            "path": str(one.path),
            "classes": [
                {"class": name, "probability": round(share, 6)}
                for name, share in zip(one.classes, one.probabilities, strict=True)
            ],
        }
        | ({} if one.kept is None else {"set": list(one.kept)})
        for one in found
    ]
    json.dump(dict(stamps) | {"predictions": rows}, file, indent=1)
    file.write("\n")


def _write_csv(found: Sequence[Prediction], file: TextIO, stamps: Mapping[str, Any]) -> None:
    """Write one row per file and class, `path,rank,class,probability,error`; with a coverage also `set_size,set`.

    `set` is a JSON list of class names, the same in each row of a file.
    """
    rows = csv.writer(file, lineterminator="\n")
    with_sets = "coverage" in stamps
    rows.writerow(("path", "rank", "class", "probability", "error", *(("set_size", "set") if with_sets else ())))
    for one in found:
        if one.error:
            rows.writerow((csv_cell(str(one.path)), "", "", "", csv_cell(one.error), *(("", "") if with_sets else ())))
        kept = () if one.kept is None else (len(one.kept), json.dumps(one.kept, ensure_ascii=False))
        for rank, (name, share) in enumerate(zip(one.classes, one.probabilities, strict=True), start=1):
            rows.writerow((csv_cell(str(one.path)), rank, csv_cell(name), f"{share:.6f}", "", *kept))


def _print_table(found: Sequence[Prediction], file: TextIO, stamps: Mapping[str, Any]) -> None:
    console = new_console()
    console.file = file
    shown = Table()
    shown.add_column("image")
    shown.add_column("classes")
    if "coverage" in stamps:
        shown.add_column(f"set, coverage {100 * stamps['coverage']:g} %")
    for one in found:
        pairs = zip(one.classes, one.probabilities, strict=True)
        text = "  ".join(f"{name} ({100 * share:.1f} %)" for name, share in pairs)
        cells = [Text(printable(one.error), "red") if one.error else text]
        if "coverage" in stamps:
            cells.append(", ".join(one.kept or ()) or ("" if one.error else "none (no class is plausible)"))
        shown.add_row(str(one.path), *cells)
    console.print(shown)
    source = stamps["temperature_from"]
    origin = f"({source})" if source == NOT_CALIBRATED else f"from {source}"
    console.print(f"temperature {stamps['temperature']:.3g} {origin}")


FORMATS: Mapping[str, Callable[[Sequence[Prediction], TextIO, Mapping[str, Any]], None]] = {
    "table": _print_table,
    "csv": _write_csv,
    "json": _write_json,
}
"""The function that writes predictions, by `--format`; the last argument has the temperature and its source."""


def _coverage_argument(text: str) -> float:
    try:
        found = float(as_type("it", float, text))
    except UsageError as error:
        raise argparse.ArgumentTypeError(f"{shown(text)} is not a number") from error
    if not 0.0 < found < 1.0:
        raise argparse.ArgumentTypeError(f"{shown(text)} is not above 0 and below 1")
    return found


def new_parser() -> Parser:
    """Return the command's argument parser."""
    parser = Parser("predict", description="Classify image files with a trained model.")
    parser.add_argument(
        "checkpoint", type=path_argument, metavar="CHECKPOINT", help="folder of a checkpoint, run or search"
    )
    parser.add_argument(
        "images", type=path_argument, nargs="+", metavar="IMAGES", help="image files, or folders of them"
    )
    parser.add_argument(
        "--top", type=count_argument, default=5, metavar="K", help="number of classes to list (default: 5)"
    )
    parser.add_argument(
        "--coverage",
        type=_coverage_argument,
        metavar="SHARE",
        help="also predict the set of classes that contains an image's class with this probability, such as 0.9, for "
        "each class",
    )
    parser.add_argument(
        "--five-crops",
        action="store_true",
        help="classify each image by the mean of the scores of five crops (test-time ensembling); five times the work",
    )
    parser.add_argument(
        "--prior",
        type=name_or_path,
        metavar="FILE|estimate",
        help="adapt the probabilities to the shares of the classes in a file (JSON, or a table with class and share), "
        "or to shares that are estimated from the images themselves; ./estimate is a file",
    )
    parser.add_argument("--format", choices=tuple(FORMATS), default="table", help="(default: table)")
    parser.add_argument("--output", type=path_argument, metavar="FILE", help="output file (default: standard output)")
    return parser


if __name__ == "__main__":
    exit_with(main)
