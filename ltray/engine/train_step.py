"""One training step: random seed, forward and backward pass, update, and the check that the loss is finite."""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ltray.distributed import rank, total
from ltray.errors import chosen
from ltray.parts.fine_tuning import Trained
from ltray.recipe import PRECISIONS
from ltray.stage import Batch, Stage


class NotFinite(ArithmeticError):
    """A loss term is NaN or infinite, so that training cannot continue."""


def train_step(
    model: nn.Module,
    batch: Batch,
    optimizer: torch.optim.Optimizer,
    *,
    rate: float,
    precision: str,
    clip: float = 0.0,
    gradient_norms: list[Tensor] | None = None,
) -> Mapping[str, Tensor]:
    """Take one step of the optimizer.

    Args:
        model: The stage, or the stage wrapped for several workers; in training mode.
        batch: This worker's part of the step's images.
        optimizer: Of the stage's parameter groups.
        rate: The step's learning rate, before a group's `lr_scale`.
        precision: A name of `PRECISIONS`: the arithmetic of the forward pass.
        clip: Largest norm of all gradients together, over all workers; 0: no limit.
        gradient_norms: Receives the norm of all gradients together, before it is limited, shape (); None: not measured.

    Returns:
        The loss terms by name, scalars, of this worker's part.
    """
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("lr_scale", 1.0)
    optimizer.zero_grad(set_to_none=True)
    terms, loss = loss_of(model, batch, precision)
    loss.backward()  # type: ignore[no-untyped-call]
    if clip or gradient_norms is not None:
        norm = _limit_gradients(model, optimizer, clip)
        if gradient_norms is not None:
            gradient_norms.append(norm)
    optimizer.step()
    return terms


def _limit_gradients(model: nn.Module, optimizer: torch.optim.Optimizer, clip: float) -> Tensor:
    """Return the norm of all gradients together, and scale them if it is above a limit other than 0."""
    moved = [p for group in optimizer.param_groups for p in group["params"]]
    if not clip:  # nothing depends on the norm: in the order of the model, alike for every division into groups
        members = {id(p) for p in moved}  # parameters that are frozen now have the gradients of an earlier stage
        moved = [p for p in model.parameters() if id(p) in members]
    norm = nn.utils.get_total_norm([p.grad for p in moved if p.grad is not None])
    if clip:
        nn.utils.clip_grads_with_norm_(moved, clip, norm)
    return norm


def loss_of(model: nn.Module, batch: Batch, precision: str) -> tuple[Mapping[str, Tensor], Tensor]:
    """Return the loss terms of a batch by name, and their sum; see `train_step`."""
    dtype = chosen(precision, PRECISIONS, "a precision")
    low = dtype is not torch.float32
    with torch.autocast(batch.labels.device.type, dtype=dtype if low else None, enabled=low):
        terms: Mapping[str, Tensor] = model(batch)
    return terms, torch.stack([value.float() if low else value for value in terms.values()]).sum()


def set_training_mode(stage: Stage) -> None:
    """Put the modules that `trained()` returns into training mode; freeze the rest in evaluation mode."""
    stage.eval().requires_grad_(False)
    for module in stage.trained():
        module.train().requires_grad_(True)
    for module in stage.modules():
        if getattr(module, "never_trained", False):
            module.requires_grad_(False)
        if getattr(module, "never_changed", False):
            module.eval().requires_grad_(False)
        if isinstance(trained := getattr(module, "tuned", None), Trained):
            _restrict(module, trained)


def _restrict(module: nn.Module, trained: Trained) -> None:
    """Freeze the parts of a module that are not trained, and put them into evaluation mode."""
    for name, parameter in module.named_parameters():
        if name not in trained.parameters:
            parameter.requires_grad_(False)
    for name, inner in module.named_modules():
        if name not in trained.modes:
            inner.training = False


def trained_parameters(stage: Stage) -> tuple[int, int]:
    """Return the numbers of trained and of all parameters of a stage that `set_training_mode` has set."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in stage.parameters()]
    return sum(size for size, moves in sizes if moves), sum(size for size, _ in sizes)


def trained_share(stage: Stage) -> dict[str, float]:
    """Return the metrics of `trained_parameters`."""
    trained, every = trained_parameters(stage)
    return {"train/parameters": trained, "train/parameters_share": trained / every}


def seed_step(seed: int, stage: int, epoch: int, step: int) -> None:
    """Make every random draw of a step a function of its position and the worker's rank."""
    torch.manual_seed(derived_seed(seed, stage, epoch, step, rank()))


def derived_seed(*numbers: int) -> int:
    """Return a seed below 2^56 that is a function of several numbers; different numbers give different seeds."""
    digest = hashlib.blake2b(repr(numbers).encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big")


def check_finite(sums: Mapping[str, Tensor], epoch: int, step: int) -> None:
    """Check the loss terms, summed over an epoch's steps so far; the result is the same on every worker.

    Args:
        sums: This worker's sums, by name.
        epoch: Epoch of the stage, from 0.
        step: Step of the epoch, from 0.

    Raises:
        NotFinite: A term is NaN or infinite on a worker.
    """
    for name, value in sums.items():
        if not torch.isfinite(total(value)):
            raise NotFinite(f"loss/{name} is not finite in epoch {epoch + 1}, at or before step {step + 1}.")
