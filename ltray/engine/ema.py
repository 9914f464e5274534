"""The moving average of a stage's weights; if enabled, it replaces them in evaluation and at the end of the stage."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ltray.errors import UsageError
from ltray.stage import Stage


class WeightAverage:
    """Exponential moving average of a stage's trained parameters and of their BatchNorm statistics.

    BatchNorm's running mean and variance are averaged with the same decay, not copied: a
    copy would describe the activations of the newest weights, not of the average, and a
    pass over the training set to measure them again would cost as much as an epoch. Other
    state (queues, prototypes, counters) is not averaged.

    The decay of update t (from 0) is min(decay, (1 + t) / (10 + t)), so that a short run
    soon discards its initial weights. It depends only on the position, so only the
    average itself must be saved. Averages of equal weights are equal on every worker.

    Args:
        stage: In training mode, as `set_training_mode` leaves it.
        decay: Share of the old average kept per step, in (0, 1).

    Source: the ramp of the decay is that of TensorFlow's ExponentialMovingAverage.
    """

    def __init__(self, stage: Stage, decay: float) -> None:
        self._decay = decay
        self._live = averaged_tensors(stage)
        self._averages = [tensor.clone() for tensor in self._live]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Update the average after a step of the optimiser.

        Args:
            step: Number of earlier steps of the stage.
        """
        decay = min(self._decay, (1 + step) / (10 + step))
        get_ema_multi_avg_fn(decay)(self._averages, self._live, step)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def distance(self) -> Tensor:
        """Return ‖average − weights‖ / ‖weights‖ over all averaged tensors, shape ()."""
        apart = torch._foreach_sub(self._averages, self._live)
        return nn.utils.get_total_norm(apart) / nn.utils.get_total_norm(self._live)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Load the average into the stage for an evaluation, and restore the stage's weights afterwards."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def settle(self) -> None:
        """Replace the stage's weights by the average at the end of the stage."""
        with torch.no_grad():
            for live, average in zip(self._live, self._averages, strict=True):
                live.copy_(average)

    def state(self, everything: nn.Module) -> dict[str, Tensor]:
        """Return the average under every name that its tensors have in `everything.state_dict()`."""
        averages = {id(live): average for live, average in zip(self._live, self._averages, strict=True)}
        named = [
            *everything.named_parameters(remove_duplicate=False),
            *everything.named_buffers(remove_duplicate=False),
        ]
        return {name: averages[id(tensor)] for name, tensor in named if id(tensor) in averages}

    @torch.no_grad()
    def load(self, saved: Mapping[str, Tensor], everything: nn.Module) -> None:
        """Load what `state` returned."""
        for name, average in self.state(everything).items():
            average.copy_(saved[name])

    def _swap(self) -> None:
        for index, live in enumerate(self._live):
            live.data, self._averages[index] = self._averages[index], live.data


def averaged_tensors(stage: Stage) -> list[Tensor]:
    """Return the trained parameters and the statistics of the BatchNorm layers in training mode."""
    found: list[Tensor] = [parameter for parameter in stage.parameters() if parameter.requires_grad]
    still = {
        inner for module in stage.modules() if getattr(module, "never_trained", False) for inner in module.modules()
    }
    for module in stage.modules():
        if isinstance(module, _BatchNorm) and module.training and module not in still and module.track_running_stats:
            assert module.running_mean is not None and module.running_var is not None
            found += [module.running_mean, module.running_var]
    return found


def check_average(method: str, stages: Sequence[Stage]) -> None:
    """Check that `average_decay` applies to the stages of a method.

    Raises:
        UsageError: None of them is trained, or one with an average restores the weights of its best epoch.
    """
    asked = [stage for stage in stages if stage.recipe.average_decay]
    if asked and not any(stage.recipe.epochs for stage in asked):
        raise UsageError(
            f"`{method}.average_decay` has no effect: `{method}` does not train weights. Remove the setting."
        )
    for stage in asked:
        if type(stage).end_epoch is not Stage.end_epoch:
            raise UsageError(
                f"`{method}.average_decay` must be 0, but got {stage.recipe.average_decay}: {type(stage).__name__} "
                "restores the weights of its best epoch, which an average would overwrite."
            )
