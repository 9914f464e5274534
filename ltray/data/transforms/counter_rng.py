"""Random numbers without a generator: a hash of (seed, stream, sample position) and a counter.

There is no state between calls. The numbers of a sample depend neither on the batch it is
in nor on the worker that holds it, and an epoch can be resumed at any step.
"""

import torch
from torch import Tensor

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15  # 2^64 divided by the golden ratio: the step of splitmix64's counter
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB  # the multipliers of its finaliser


def keys(seed: int, *stream: int, positions: Tensor) -> Tensor:
    """Return one 64-bit key per sample, the same on every device.

    Args:
        seed: The run's seed.
        stream: Further values that distinguish draws: stage, epoch, view. The order matters.
        positions: Position of each sample in the training set (n,), int64.

    Returns:
        Keys (n,), int64, on the device of `positions`.
    """
    state = _mix((seed + _GOLDEN) & _MASK)  # + golden: 0 must not stay 0
    for number in stream:
        state = _mix((_mix(state) + number + _GOLDEN) & _MASK)
    return _mix_tensor(positions * _signed(_GOLDEN) + _signed(state))


def child_keys(parents: Tensor, count: int) -> Tensor:
    """Return `count` further keys for each key: (n,) becomes (n * count,), sample by sample.

    Args:
        parents: Keys (n,), int64.
        count: Children of each, such as the patches of an image.
    """
    return _hash(parents, count, salt=-2).reshape(-1)


def uniform(keys: Tensor, count: int, *, salt: int = 0) -> Tensor:
    """Return uniform random numbers.

    Args:
        keys: Keys (n,), int64.
        count: Numbers per key.
        salt: Selects the numbers; different salts give independent ones.

    Returns:
        float32 (n, count) in [0, 1), multiples of 2^-24.
    """
    # 24 bits are what a float32 holds exactly, so that 1.0 is never reached by rounding.
    return ((_hash(keys, count, salt=salt) >> 40) & 0xFFFFFF).to(torch.float32).mul_(2.0**-24)


def _hash(keys: Tensor, count: int, *, salt: int) -> Tensor:
    start = _mix((salt + 1) * _GOLDEN & _MASK)
    steps = torch.tensor([_signed((start + i * _GOLDEN) & _MASK) for i in range(count)], device=keys.device)
    return _mix_tensor(keys[:, None] + steps)


def _mix(z: int) -> int:
    z = ((z ^ (z >> 30)) * _FIRST) & _MASK
    z = ((z ^ (z >> 27)) * _SECOND) & _MASK
    return z ^ (z >> 31)


def _mix_tensor(z: Tensor) -> Tensor:
    """`_mix` of int64 tensors; their products wrap around like unsigned ones."""
    z = (z ^ _shift(z, 30)) * _signed(_FIRST)
    z = (z ^ _shift(z, 27)) * _signed(_SECOND)
    return z ^ _shift(z, 31)


def _shift(z: Tensor, bits: int) -> Tensor:
    # int64 shifts copy the sign bit; the mask makes it the unsigned shift.
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def _signed(z: int) -> int:
    return z - (1 << 64) if z >= 1 << 63 else z
