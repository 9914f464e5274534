"""The number formats that a device computes natively, and the settings that are left to it with `auto`."""

import platform
import socket
from collections.abc import Callable, Collection, Mapping

import torch

from ltray.errors import UsageError

BFLOAT16, FLOAT32 = "bfloat16", "float32"
NATIVE, EMULATED = "native", "emulated"
PRECISION = "precision"


def computes_bfloat16(device: torch.device) -> bool:
    """Return whether a device has instructions for products of bfloat16; otherwise torch emulates them.

    Every GPU with TF32 has them, so that no device is left for which TF32 would be the choice.

    Args:
        device: A CPU, or a CUDA device of this process.
    """
    if device.type == "cuda":
        with torch.cuda.device(device):
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def way_of_bfloat16(device: torch.device) -> str:
    """Return `NATIVE` or `EMULATED`: the results of the two differ in their last bits."""
    return NATIVE if computes_bfloat16(device) else EMULATED


def fastest_precision(device: torch.device) -> str:
    """Return bfloat16 where the device computes it natively, else float32."""
    return BFLOAT16 if computes_bfloat16(device) else FLOAT32


CHOICES: Mapping[str, Callable[[torch.device], str]] = {PRECISION: fastest_precision}
"""The value that `auto` means on a device, by the name of the knob."""


def automatic(
    names: Collection[str], device: torch.device, *, known: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the values of the knobs that are `auto`.

    Args:
        names: Keys of `CHOICES`.
        device: The device of the training.
        known: The values that were determined when the run or search began; they are kept.

    Raises:
        UsageError: The device does not compute the known format natively.
    """
    known = known or {}
    if PRECISION in names and known.get(PRECISION) == BFLOAT16 and not computes_bfloat16(device):
        raise UsageError(
            f"`precision` was determined as bfloat16 (auto) where the run began, but {name_of(device)} does not "
            "compute bfloat16 natively. Continue it on a machine that does, or begin a new run with another --output."
        )
    return {name: known.get(name) or CHOICES[name](device) for name in sorted(names)}


def check_bfloat16(device: torch.device, *, command: str = "", node: str = "", recorded: str = "") -> None:
    """Check that a process computes bfloat16 as the other processes of its run do.

    Args:
        device: The device of this process.
        command: How the processor of the command's machine computes it: `NATIVE`, `EMULATED`, or "" if this process is
            the command.
        node: Host name of the command's machine.
        recorded: How the run has computed it so far, or "".

    Raises:
        UsageError: The device emulates it although it is a GPU, or does not compute it as the others do.
    """
    own = way_of_bfloat16(device)
    remedy = f"Use float32 (`precision=float32`) in a new run, or leave out {socket.gethostname()}."
    if device.type == "cuda" and own == EMULATED:
        raise UsageError(f"precision=bfloat16: {name_of(device)} does not compute bfloat16 natively. {remedy}")
    if recorded and recorded != own:
        raise UsageError(
            f"precision=bfloat16 is {own} on {name_of(device)}, but was {recorded} where the run began: its results "
            f"would be mixed. {remedy}"
        )
    if command and device.type == "cpu" and command != own:
        raise UsageError(
            f"precision=bfloat16 is {own} on {name_of(device)}, but {command} on node {node}, where the command runs: "
            f"results of the two must not be mixed. {remedy}"
        )


def name_of(device: torch.device) -> str:
    """Return a device with its machine as text: "the processor of node a (x86_64)"."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} of node {socket.gethostname()}"
    return f"the processor of node {socket.gethostname()} ({platform.machine()})"
