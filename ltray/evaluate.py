"""`python -m ltray.evaluate RUN [IMAGES]`: evaluate a checkpoint on validation, test or new labelled images."""

import json
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from ltray.arguments import path_argument, path_value, settings_value
from ltray.command import DONE, FAILED, exit_with
from ltray.console import new_console
from ltray.engine.checkpoint import FILE_NAME
from ltray.errors import UsageError
from ltray.evaluation.analysis import Analysis
from ltray.evaluation.findings import Findings, as_json
from ltray.evaluation.printed import print_findings
from ltray.files import digest_of
from ltray.model_folder import ModelFolder
from ltray.parser import Parser
from ltray.results.class_prior import ClassPrior, read_prior
from ltray.results.classifier import Classifier, best_device
from ltray.results.ledger import declare_look, note_look, run_of
from ltray.results.new_images import evaluate_new_images
from ltray.results.predictions import TrainedModel, recorded_tail
from ltray.run_folder import checkpoint_of
from ltray.settings import parse_assignments


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
    return _evaluated(model, images, test=test, five_crops=five_crops, settings=settings, note=_note)


def analyses(
    model: str | PathLike[str],
    names: Sequence[str] = (),
    *,
    test: bool = False,
    against: str | PathLike[str] | None = None,
) -> dict[str, Any]:
    """Compute analyses of a checkpoint, as data and figures in the run folder; those that are already there are kept.

    Args:
        model: Folder of a run, a search or a checkpoint.
        names: Names of analyses, such as `["confusion", "robustness"]` (`docs/evaluation.md`); (): all.
        test: Whether to use the test images; the analyses of one checkpoint are one look at them.
        against: Another model to compare with on the same images.

    Returns:
        By the name of an analysis its `result` and the names of its `files`, which are in `folder`; if it was not
        possible for this model, the reason (`left_out`).

    Raises:
        UsageError: See `run`; a name is not known, or the two models cannot be compared.
    """
    from ltray.evaluation.analyses import asked  # imported here, because it imports matplotlib
    from ltray.evaluation.command import analyses_as_json, run_analyses

    other = None if against is None else path_value("against", against)
    chosen = asked(",".join(names) if names else None, everything=not names, compared=other is not None)
    findings = _evaluated(model, None, test=test, five_crops=False, settings=None, note=_note_analyses)
    console = new_console(stderr=True)
    return analyses_as_json(
        run_analyses(findings, chosen, against=other, console=console, leave_out=not names), findings
    )


def _evaluated(
    model: str | PathLike[str],
    images: str | PathLike[str] | None,
    *,
    test: bool,
    five_crops: bool,
    settings: Mapping[str, Any] | None,
    note: Callable[[Path], int],
) -> Findings:
    """Evaluate a checkpoint; see `run`.

    Args:
        model: See `run`.
        images: See `run`.
        test: See `run`.
        five_crops: See `run`.
        settings: See `run`.
        note: Records a look at the test images, and returns its number.
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
    look = note(checkpoint) if predictions.split == "test" else 0
    cropped = classify(five_crops=True) if five_crops else None
    return Findings(checkpoint, trained, predictions, look, recorded, None, cropped)


def main(words: list[str]) -> int:
    """Evaluate and print; exit code 1 if a new image cannot be used."""
    options = new_parser().parse(words)
    analyses = _asked(options)
    prior = _checked_prior(options.run, options.prior, adapt=options.adapt)
    findings = _evaluated(
        options.run,
        options.images,
        test=options.test,
        five_crops=options.five_crops,
        settings=parse_assignments(options.settings),
        note=_note_analyses if analyses else _note,
    )
    shifts = options.shift or prior is not None or options.adapt
    shifted = findings.shifted(prior, adapt=options.adapt) if shifts else []
    console = new_console(stderr=options.json)
    if not options.json:
        print_findings(findings, console, classes=options.classes, shifted=shifted)
    content = as_json(findings, shifted) if options.json else {}
    if analyses:
        from ltray.evaluation.command import analyses_as_json, run_analyses

        found = run_analyses(findings, analyses, against=options.against, console=console, leave_out=options.all)
        content["analyses"] = analyses_as_json(found, findings)
    if options.json:
        print(json.dumps(content, indent=1))
    return FAILED if findings.new_images and findings.new_images.unusable else DONE


def _asked(options: Namespace) -> list[Analysis]:
    """Return the analyses that a command asks for.

    Raises:
        UsageError: They are not known, or the command evaluates new images.
    """
    if options.analyses is None and not options.all and options.against is None:
        return []
    if options.images is not None:
        raise UsageError("Analyses are of the images of the model's data set: remove IMAGES, or the analyses.")
    from ltray.evaluation.analyses import asked  # imported here, because it imports matplotlib

    return asked(options.analyses, everything=options.all, compared=options.against is not None)


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


def _note_analyses(checkpoint: Path) -> int:
    """Declare the analyses of a checkpoint on test images as one look, also if continued; return its number."""
    digest = digest_of(checkpoint / FILE_NAME)[:12]
    return declare_look(run_of(checkpoint), f"ltray.evaluate --test: analyses of the checkpoint {digest}")


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
    parser.add_argument(
        "--all",
        action="store_true",
        help="compute every analysis, as data and figures in the run folder; those that are already there are kept",
    )
    parser.add_argument(
        "--analyses",
        metavar="LIST",
        help="compute some analyses: confusion,robustness; see docs/evaluation.md for their names",
    )
    parser.add_argument(
        "--against",
        type=path_argument,
        metavar="RUN|CHECKPOINT",
        help="another model to compare with on the same images: differences by class and of the confusion matrices",
    )
    parser.add_argument("--classes", action="store_true", help="print the accuracy of each class")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    return parser


if __name__ == "__main__":
    exit_with(main)
