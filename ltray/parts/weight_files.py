"""The tensors in a file of weights: PyTorch's format, in which code is never executed, or safetensors."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ltray.errors import UsageError
from ltray.files import check_regular, reading
from ltray.printable import printable

REMEDY = "save a model's state_dict() with torch.save, or set weights=random"
_OPTIMIZERS = (
    "optim",
    "scheduler",
    "scaler",
    "amp",
)  # parts of training scripts' checkpoints in addition to the network


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return every tensor of a network in a file, by its dotted path.

    Args:
        path: A state dictionary, or a training script's checkpoint, in which state dictionaries may be nested:
            `state_dict_best` → `feat_model` → `conv1.weight` becomes "state_dict_best.feat_model.conv1.weight".

    Raises:
        UsageError: It cannot be read, contains code, or contains no tensors.
    """
    check_regular(path)
    found: dict[str, Tensor] = {}
    _flatten(_from_safetensors(path) if path.suffix == ".safetensors" else _from_torch(path), "", found)
    if not found:
        raise UsageError(f"`weights` {printable(path)!r} must contain a state dictionary of tensors; {REMEDY}.")
    return found


def _from_safetensors(path: Path) -> Any:
    from safetensors.torch import load_file

    with reading(path, "not a safetensors file", remedy="get the file again"):
        return load_file(path)


def _from_torch(path: Path) -> Any:
    with reading(path, "not weights that torch.save wrote", remedy=REMEDY):
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:  # its message advises to execute the file's code
            raise UsageError(
                f"{printable(path)}: contains no weights that torch.save wrote, or contains code, which is never "
                f"executed; {REMEDY}."
            ) from error


def _flatten(content: Any, prefix: str, found: dict[str, Tensor]) -> None:
    if isinstance(content, Tensor):
        found[prefix] = content
    elif isinstance(content, Mapping):
        for key, value in content.items():
            if isinstance(key, str) and not key.lower().startswith(_OPTIMIZERS):
                _flatten(value, f"{prefix}.{key}" if prefix else key, found)
