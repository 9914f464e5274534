"""ProCo's loss: contrast with infinitely many embeddings of each class, in closed form."""

from torch import Tensor

from ltray.methods.proco.bessel import log_bessel
from ltray.methods.proco.estimator import ClassEstimator
from ltray.parts.precision import full_precision


@full_precision
def class_contrast(rows: Tensor, estimator: ClassEstimator, *, temperature: float, bessel: str = "exact") -> Tensor:
    """Return z_ic = log E exp(⟨f_i, v⟩/τ) over v ~ vMF(μ_c, κ_c), (B, K), float64.

    With g(q) = log I_ν(√q) − ν·log √q it is g(|κ_c·μ_c + f_i/τ|²) − g(κ_c²). The square of the sum needs only the
    products ⟨f_i, μ_c⟩, so no tensor (B, K, p) is built.

    Source: Du et al., Probabilistic Contrastive Learning for Long-Tailed Visual Recognition, TPAMI 2024
    (arXiv:2403.06726), and `ProCoLoss` of the official code.

    Args:
        rows: f, unit embeddings (B, p).
        estimator: μ and κ of the classes; no gradient reaches them.
        temperature: τ.
        bessel: A key of `ltray.methods.proco.bessel.BESSEL`; both sides of the difference are computed by it.
    """
    kappa, scaled = estimator.concentration(), rows.double() / temperature
    order = rows.shape[1] / 2.0 - 1.0
    own = scaled.square().sum(dim=1, keepdim=True)
    squared = kappa**2 + 2.0 * scaled @ (kappa[:, None] * estimator.direction()).T + own
    return log_bessel(squared.clamp(min=0.0), order, kind=bessel) - log_bessel(kappa**2, order, kind=bessel)
