"""PaCo's optimum: the probabilities of centre and positives in the run's own batches beside the closed form."""

from collections.abc import Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ltray.analysis.centre_optima import CentreOptimum
from ltray.analysis.measured.result import NotApplicable, Quantity, TheoryResult, by_group, class_means_of
from ltray.analysis.measured.subject import AnalysedModel
from ltray.figures.style import COLOURS, THEORY, name_classes, new_figure
from ltray.methods.centres import CentreKnobs
from ltray.methods.gpaco import GPaCoKnobs
from ltray.parts.contrast import ContrastPairs

SOURCE = "PaCo, Remark 3"


def analyse(subject: AnalysedModel) -> TheoryResult | NotApplicable:
    """Measure the probabilities of the own centre, of each positive, and of all centres."""
    contrast = subject.contrast
    if contrast is None or contrast.batches[0].centres is None:
        return NotApplicable("The method has no class centres in its contrastive loss, as PaCo and GPaCo have.")
    knobs = contrast.stage.recipe
    assert isinstance(knobs, CentreKnobs)
    alpha, beta = knobs.alpha, knobs.beta
    kept = 1.0 - knobs.smoothing if isinstance(knobs, GPaCoKnobs) else 1.0  # the rest is that of the other centres
    labels = torch.cat([pairs.labels for pairs in contrast.batches])
    found = {name: _by_class(values, labels, subject) for name, values in _probabilities(contrast.batches).items()}
    count = torch.cat([pairs.positives.sum(dim=1) for pairs in contrast.batches])
    optimum = CentreOptimum.of(count, alpha=alpha, beta=beta)
    theory = {
        "own centre": kept * _by_class(optimum.centre, labels, subject),
        "each positive": _by_class(optimum.sample, labels, subject),
        "all centres": _by_class(optimum.centre, labels, subject),
    }
    forms = {"own centre": "1/(1+αK)", "each positive": "α/(1+αK)", "all centres": "P at the minimum of L_extra"}
    rows = []
    for name, form in forms.items():
        values, ideal = by_group(found[name], subject.tail), by_group(theory[name], subject.tail)
        rows += [
            Quantity(f"probability of {name}, {group} ({form})", values[group], ideal[group], SOURCE)
            for group in values
        ]
    data = {
        "classes": subject.ordered_names,
        "alpha": alpha,
        "beta": beta,
        "positives": _by_class(count.double(), labels, subject)[subject.order].tolist(),
        "measured": {name: values[subject.order].tolist() for name, values in found.items()},
        "theory": {name: values[subject.order].tolist() for name, values in theory.items()},
    }
    return TheoryResult("Optimum of PaCo's loss", rows, data, lambda: _draw(found, theory, subject))


def _probabilities(batches: Sequence[ContrastPairs]) -> dict[str, Tensor]:
    """Return the probabilities of own centre, mean positive and all centres of each anchor (A,)."""
    found: dict[str, list[Tensor]] = {"own centre": [], "each positive": [], "all centres": []}
    for pairs in batches:
        assert pairs.centres is not None
        samples = pairs.scores.logsumexp(dim=1)
        log_z = torch.logaddexp(samples, pairs.centres.logsumexp(dim=1))
        own = pairs.centres.gather(1, pairs.labels[:, None]).squeeze(1)
        found["own centre"].append((own - log_z).exp())
        total = pairs.probabilities.masked_fill(~pairs.positives, 0.0).sum(dim=1)
        found["each positive"].append(total / pairs.positives.sum(dim=1))
        found["all centres"].append((pairs.centres.logsumexp(dim=1) - log_z).exp())
    return {name: torch.cat(parts) for name, parts in found.items()}


def _by_class(values: Tensor, labels: Tensor, subject: AnalysedModel) -> Tensor:
    return class_means_of(values, labels, subject.tail.classes).cpu()


def _draw(found: dict[str, Tensor], theory: dict[str, Tensor], subject: AnalysedModel) -> Figure:
    figure = new_figure(height=3.2)
    axes = figure.subplots(2, 1, sharex=True)
    for axis, name, colour in zip(axes, ("own centre", "each positive"), COLOURS, strict=False):
        axis.plot(found[name][subject.order].numpy(), "o", color=colour, label="measured")
        axis.plot(theory[name][subject.order].numpy(), label="optimum", **THEORY)
        axis.set(yscale="log", ylabel=f"p of {name}")
        axis.legend()
    name_classes(axes[1], subject.ordered_names)
    return figure
