"""The regular simplex, in which K class means have the largest equal angles, and the distance from it."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def regular_simplex(classes: int) -> Tensor:
    """Return K unit vectors (K, K) whose cosines are −1/(K−1)."""
    centred = torch.eye(classes, dtype=torch.float64) - 1.0 / classes
    return F.normalize(centred, dim=1)


def cosines(rows: Tensor) -> Tensor:
    """Return the cosines of rows (K, d) with one another (K, K), float64."""
    unit = F.normalize(rows.to(torch.float64), dim=1)
    return unit @ unit.T


def off_diagonal(matrix: Tensor) -> Tensor:
    """Return the values of a square matrix (K, K) off the diagonal (K, K−1), row by row."""
    size = len(matrix)
    return matrix[~torch.eye(size, dtype=torch.bool, device=matrix.device)].view(size, size - 1)


def simplex_distance(rows: Tensor) -> float:
    """Return ‖G − G*‖ / ‖G*‖ of the cosines G of rows (K, d) and those of a regular simplex, G*; 0 for a simplex.

    G* has 1 on the diagonal and −1/(K−1) elsewhere; ‖G*‖² = K²/(K−1). Equal rows have the distance √K.
    """
    found, classes = cosines(rows), len(rows)
    ideal = (found.new_ones(classes).diag() - 1.0 / classes) * classes / (classes - 1.0)
    return float((found - ideal).norm() / ideal.norm())


def least_simplex_distance(classes: int, width: int) -> float:
    """Return the smallest distance possible in `width` dimensions: √((K−1)/d − 1), and 0 from d = K−1 on.

    G has the trace K and at most d eigenvalues, so that ‖G‖² >= K²/d, and its product with G* is K²/(K−1) at most.
    """
    return math.sqrt(max((classes - 1) / width - 1.0, 0.0))
