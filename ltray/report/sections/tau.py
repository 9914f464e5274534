"""The effect of τ of two post-hoc methods, from the saved logits."""

from ltray.report.best_model import BestModel
from ltray.report.plot import Plot, new_figure
from ltray.report.section import Section
from ltray.report.theme import GROUPS, colour
from ltray.results.tau_curve import TauCurve, adjustment_curve, norm_curve


def tau(model: BestModel) -> Section:
    """Return accuracy over τ of the model in `best/`."""
    scores = model.predictions
    curves = {
        "Logit adjustment, z − τ·log π (post_hoc_adjustment)": adjustment_curve(scores),
        "τ-normalisation, x·w / |w|^τ (tau_norm)": norm_curve(scores),
    }
    known = {name: curve for name, curve in curves.items() if curve is not None}
    where = "the test set (selected on test)" if scores.split == "test" else model.images
    values = {
        "where": where,
        "sentences": [f"{name}: {gain(curve)}" for name, curve in known.items()],
        "plots": [_plot(name, curve) for name, curve in known.items()],
    }
    return Section("tau", "Effect of τ", values)


def gain(curve: TauCurve) -> str:
    """Return the accuracy without τ and with the best τ."""
    points = f"{100 * (curve.accuracy - curve.plain):+z.1f} points"
    best = f"Best at τ = {curve.best:.3g}: {100 * curve.accuracy:.1f} % ({points})."
    return f"Without τ: {100 * curve.plain:.1f} %. {best}"


def _plot(name: str, curve: TauCurve) -> Plot:
    figure = new_figure("τ", "accuracy, %", legend=True)
    figure.add_vline(x=curve.best, line={"color": colour("grey"), "dash": "dot"})
    for group, line in curve.lines.items():
        figure.add_scatter(
            x=[point for point, _ in line],
            y=[100 * value for _, value in line],
            mode="lines",
            line={"color": colour(GROUPS[group]), "width": 3 if group == "all" else 1.5},
            name=group,
            hovertemplate=f"{group}, τ = %{{x:.2f}}: %{{y:.1f}} %<extra></extra>",
        )
    return Plot(figure, f"Accuracy over τ. {gain(curve)}", title=name)
