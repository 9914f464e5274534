"""Losses in float32 at least, even if autocast runs the network in lower precision."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

Inputs = ParamSpec("Inputs")
Output = TypeVar("Output")


def full_precision(function: Callable[Inputs, Output]) -> Callable[Inputs, Output]:
    """Run `function` outside autocast, with its bfloat16 and float16 arguments converted to float32.

    A similarity in bfloat16 has an error of up to 1/256; divided by a temperature of 0.07, this is
    6 % of a key's weight, and a sum of exponentials accumulates such errors.
    """

    @wraps(function)
    def in_full_precision(*args: Inputs.args, **kwargs: Inputs.kwargs) -> Output:
        values = [_widened(value) for value in args]
        named = {name: _widened(value) for name, value in kwargs.items()}
        devices = {value.device.type for value in [*values, *named.values()] if isinstance(value, Tensor)}
        with torch.autocast(devices.pop() if devices else "cpu", enabled=False):
            return function(*values, **named)

    return in_full_precision


def _widened(value: Any) -> Any:
    if isinstance(value, Tensor) and value.dtype in (torch.bfloat16, torch.float16):
        return value.float()
    return value
