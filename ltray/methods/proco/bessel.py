"""The modified Bessel function of a von Mises-Fisher density, as g(κ²) = log I_ν(κ) − ν·log κ.

g and its derivative are smooth in q = κ², also at 0: dg/dq = ρ_ν/2 with ρ_n = I_{n+1}(κ) / (κ·I_n(κ)), and
ρ_{n−1} = 1 / (2n + q·ρ_n).
"""

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

TERMS = 13
SMALLEST_ORDER = 32.0  # from here on 13 terms of Debye's expansion are exact to rounding; lower orders recur from it


def _debye_polynomials(terms: int) -> list[list[float]]:
    """Return the coefficients of u_0 … u_{terms−1}, u_k in ascending powers of t.

    u_{k+1}(t) = ½t²(1 − t²)·u_k'(t) + ⅛∫₀ᵗ(1 − 5s²)·u_k(s) ds; NIST Handbook, 10.41.9.
    """
    polynomials = [[Fraction(1)]]
    for _ in range(1, terms):
        following = [Fraction(0)] * (len(polynomials[-1]) + 3)
        for power, coefficient in enumerate(polynomials[-1]):
            following[power + 1] += coefficient * (Fraction(power, 2) + Fraction(1, 8 * (power + 1)))
            following[power + 3] -= coefficient * (Fraction(power, 2) + Fraction(5, 8 * (power + 3)))
        polynomials.append(following)
    return [[float(coefficient) for coefficient in polynomial] for polynomial in polynomials]


DEBYE = _debye_polynomials(TERMS)


def _debye(q: Tensor, order: float) -> Tensor:
    """Return g of a high order by Debye's uniform expansion (NIST Handbook, 10.41.3)."""
    root = (q + order**2).sqrt()
    t = order / root
    series = torch.zeros_like(q)
    for power, polynomial in reversed(list(enumerate(DEBYE))):
        value = torch.zeros_like(q)
        for coefficient in reversed(polynomial):
            value = value * t + coefficient
        series = series + value / order**power
    return root - order * (order + root).log() - 0.5 * (2.0 * math.pi * root).log() + series.log()


def exact(q: Tensor, order: float) -> tuple[Tensor, Tensor]:
    """Return g and ρ_ν, correct to about 1e-11 (1e-13 below κ = 1,000).

    Args:
        q: κ², 0 or more, float64.
        order: ν, at least 0.
    """
    steps = max(0, math.ceil(SMALLEST_ORDER - order))
    high = order + steps
    value = _debye(q, high)
    ratio = (_debye(q, high + 1.0) - value).exp()
    for step in range(steps):
        divisor = 2.0 * (high - step) + q * ratio
        value, ratio = value + divisor.log(), 1.0 / divisor
    return value, ratio


def recurrence(q: Tensor, order: float) -> tuple[Tensor, Tensor]:
    """Return g and ρ_ν as the official code computes them: backward from I_{2ν} = 1 and I_{2ν+1} = 0, scaled by I_0.

    It starts too low for κ above (2ν)²/28: the error of g is then up to 7 at κ = 1e5, also in both
    terms of a difference. The derivative I_{ν+1}/I_ν is limited to 1.

    Args:
        q: κ², 0 or more, float64.
        order: ν, an integer of at least 1.
    """
    kappa = q.sqrt()
    ratio, logarithms, own = torch.zeros_like(q), torch.zeros_like(q), torch.zeros_like(q)
    for n in range(int(2 * order), 0, -1):
        if n == order:
            own = ratio
        ratio = 1.0 / (2.0 * n + q * ratio)
        if n <= order:
            logarithms = logarithms + ratio.log()
    value = torch.special.i0e(kappa).log() + kappa + logarithms
    return value, own.minimum(1.0 / kappa)


BESSEL: Mapping[str, Callable[[Tensor, float], tuple[Tensor, Tensor]]] = {"exact": exact, "recurrence": recurrence}
"""The computations of g and ρ_ν by name."""


class _LogBessel(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, order: float, kind: str) -> Tensor:
        value, ratio = BESSEL[kind](q, order)
        ctx.save_for_backward(ratio)
        return value

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (ratio,) = ctx.saved_tensors
        return grad * ratio / 2.0, None, None


def log_bessel(q: Tensor, order: float, *, kind: str = "exact") -> Tensor:
    """Return log I_ν(κ) − ν·log κ, of the shape of q; its gradient does not use that of the computation.

    Args:
        q: κ², 0 or more, float64.
        order: ν = p/2 − 1 for vectors of p numbers.
        kind: A key of `BESSEL`.
    """
    value: Tensor = _LogBessel.apply(q, order, kind)
    return value
