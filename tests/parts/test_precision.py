"""Losses are computed outside autocast."""

import torch
from torch import Tensor

from ltray.parts.contrast import similarity, unit
from ltray.parts.precision import full_precision


@full_precision
def product(a: Tensor, b: Tensor, *, scale: Tensor) -> Tensor:
    return a @ b * scale


def test_half_precision_arguments_and_products_are_float32() -> None:
    a, b, scale = torch.randn(4, 5).bfloat16(), torch.randn(5, 3), torch.ones(3, dtype=torch.float16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (a @ b).dtype == torch.bfloat16
        result = product(a, b, scale=scale)
        assert (a @ b).dtype == torch.bfloat16
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, a.float() @ b)


def test_float64_is_kept() -> None:
    rows = unit(torch.randn(4, 5, dtype=torch.float64))
    assert similarity(rows, rows, temperature=0.1).dtype == torch.float64
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(4, dtype=torch.float64))


def test_gradient_has_the_precision_of_the_argument() -> None:
    rows = torch.randn(4, 5).bfloat16().requires_grad_()
    similarity(rows, rows).sum().backward()
    assert rows.grad is not None and rows.grad.dtype == torch.bfloat16
