"""The model in `best/`: accuracy of each class, effect of τ, provenance."""

import json
import math
from collections.abc import Mapping
from html import escape
from typing import Any

from ltray.network_config import WEIGHTS
from ltray.pretraining import described, seen_before
from ltray.report import figures
from ltray.report.formatting import plain
from ltray.report.page import folded, grid, key, paragraph, section, table
from ltray.results.ledger import describe_look, number_of
from ltray.results.predictions import Predictions
from ltray.results.run_record import RunRecord
from ltray.results.tau_curve import TauCurve, adjustment_curve, norm_curve
from ltray.run_folder import RunFolder


def classes(record: RunRecord) -> str:
    """Return the test accuracy of each class, and the other metrics of the model in `best/`."""
    evaluation, scores = record.evaluation, RunFolder(record.folder).best.scores_file
    if not evaluation or not scores.is_file():
        return ""
    tail = Predictions.load(scores).tail
    accuracy = [c / s if s else math.nan for c, s in zip(evaluation["correct"], evaluation["seen"], strict=True)]
    metrics = evaluation["metrics"]
    measures = [(n, metrics.get(f"test/{n.lower()}")) for n in ("MCC", "NMI", "ECE")]
    text = ", ".join(f"{n} {100 * v:.1f}" for n, v in measures if v is not None)
    chosen = "".join(f", {symbol} = {value:.4g}" for symbol, value in evaluation.get("chosen", {}).items())
    look = describe_look(number_of(evaluation))
    run = f" of {evaluation['run']}" if "run" in evaluation else ""
    return section(
        "Classes",
        paragraph(
            f"Test accuracy of the model in best/{run}, epoch {evaluation['epoch']}{chosen}: {look}. {text} (of 100)."
        ),
        *_pretrained(evaluation),
        figures.per_class(accuracy, tail.counts, tail.groups()),
        key([("blue", "many (> 100)"), ("green", "medium (20 to 100)"), ("orange", "few (< 20)")]),
        paragraph(f"Groups: {tail.in_groups()}.", "soft"),
    )


def _pretrained(evaluation: Mapping[str, Any]) -> list[str]:
    """Return the paragraphs about the model's initial weights; none for random weights."""
    weights, profile = evaluation.get(WEIGHTS, {}), str(evaluation.get("settings", {}).get("dataset.profile", ""))
    sentences = [f"Initial weights: {described(weights)}." if weights else "", seen_before(profile, weights)]
    return [paragraph(sentence) for sentence in sentences if sentence]


def post_hoc(record: RunRecord) -> str:
    """Return accuracy over τ of the model in `best/`, from its saved logits."""
    path = RunFolder(record.folder).best.scores_file
    if not path.is_file():
        return ""
    scores = Predictions.load(path)
    curves = {
        "Logit adjustment, z − τ·log π (post_hoc_adjustment)": adjustment_curve(scores),
        "τ-normalisation, x·w / |w|^τ (tau_norm)": norm_curve(scores),
    }
    charts = [f"<h3>{escape(name)}</h3>{_tau(curve)}" for name, curve in curves.items() if curve is not None]
    where = "the test set (selected on test)" if scores.split == "test" else "validation images"
    text = (
        f"Accuracy on {where} over τ, computed exactly from the saved logits, without training. τ is chosen on the "
        "same images, so the gain is an optimistic estimate. To get a model with this τ, run ltray.train --methods "
        "post_hoc_adjustment --from RUN."
    )
    legend = key([("ink", "all"), ("blue", "many"), ("green", "medium"), ("orange", "few")])
    return section("Effect of τ", paragraph(text), grid(charts, 2), legend)


def _tau(curve: TauCurve) -> str:
    gain = f"{100 * (curve.accuracy - curve.plain):+z.1f} points"
    text = f"Without τ: {100 * curve.plain:.1f} %. Best at τ = {curve.best:.3g}: {100 * curve.accuracy:.1f} % ({gain})."
    return paragraph(text, "soft") + figures.tau_curve(curve.lines, best=curve.best)


def provenance(record: RunRecord) -> str:
    """Return versions, hardware, digests, seeds and the complete configuration."""
    environment = record.environment
    rows = [[name, plain(value)] for name, value in environment.items()]
    settings = {k: record.settings.get(k) for k in ("seed", "dataset.data_seed", "dataset.protocol", "backbone")}
    rows += [[name, plain(value)] for name, value in settings.items() if value is not None]
    looks = enumerate(record.looks, start=1)
    rows += [[f"look {number} at the test images", f"{look.what} {look.time}"] for number, look in looks]
    config = f"<pre>{escape(json.dumps(record.config, indent=1, ensure_ascii=False))}</pre>"
    return section("Provenance", table(["", ""], rows, text_columns=(0, 1)), folded("all settings", config))
