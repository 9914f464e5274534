"""The gradient of the contrastive loss by rank of a pair's similarity, the hardest pair first."""

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ltray.analysis.measured.result import NotApplicable, Quantity, TheoryResult
from ltray.analysis.measured.subject import AnalysedModel, Contrast
from ltray.analysis.pair_gradients import mean_by_rank, pair_gradient_norms, share_of_hardest
from ltray.figures.style import COLOURS, new_figure

SOURCE = "ResCom, Sec. 3.4"
RANKS = 4096
TENTH = 10
NO_PAIRS = "The method has no contrastive loss of pairs of images."


def analyse(subject: AnalysedModel) -> TheoryResult | NotApplicable:
    """Measure the gradient at the run's own batches and queue."""
    contrast = subject.contrast
    if contrast is None:
        return NotApplicable(NO_PAIRS)
    curves = {"positives": _curve(contrast, positive=True), "negatives": _curve(contrast, positive=False)}
    rows = []
    for name, curve in curves.items():
        if len(curve):
            kept = -(-len(curve) // TENTH)
            quantity = f"gradient of the hardest {kept} of {len(curve)} ranks of {name}, share of all"
            rows.append(Quantity(quantity, share_of_hardest(curve, kept), kept / len(curve), SOURCE))
    data = {"batches": len(contrast.batches), **{name: curve.tolist() for name, curve in curves.items()}}
    return TheoryResult("Gradient by rank of similarity", rows, data, lambda: _draw(curves, contrast))


def _curve(contrast: Contrast, *, positive: bool) -> Tensor:
    """Return the mean norm at each rank over all batches; only ranks that every batch has."""
    found = []
    for pairs in contrast.batches:
        norms = pair_gradient_norms(pairs.probabilities, pairs.targets, pairs.cosines, temperature=pairs.temperature)
        there = ~pairs.cosines.isneginf()
        chosen = there & (pairs.positives if positive else ~pairs.positives)
        hardest = "least_similar" if positive else "most_similar"
        found.append(mean_by_rank(norms, pairs.cosines, chosen, hardest_first=hardest, ranks=RANKS).cpu())
    common = min(map(len, found))
    return torch.stack([curve[:common] for curve in found]).mean(dim=0)


def _draw(curves: dict[str, Tensor], contrast: Contrast) -> Figure:
    figure = new_figure()
    axis = figure.subplots()
    for (name, curve), colour, line in zip(curves.items(), COLOURS, ("-", "-."), strict=False):
        axis.plot(range(1, len(curve) + 1), curve.numpy(), line, color=colour, label=name)
    mined = getattr(contrast.stage, "mined", None)
    if mined is not None:
        for count, name, colour in zip(mined, ("$Q_p$", "$Q_n$"), COLOURS, strict=False):
            axis.axvline(count, color=colour, linestyle=":", linewidth=0.9, label=f"{name} = {count:,}")
    axis.set(xscale="log", yscale="log", xlabel="rank, the hardest pair first", ylabel="gradient norm of a pair")
    axis.legend()
    return figure
