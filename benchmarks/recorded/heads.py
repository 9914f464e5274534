"""Many linear classifiers trained at once on the features of a frozen network: ltray's training, in one loop.

The initial weights, the batches and the learning rates are those of ltray's own training of each setting; the weights
of all settings are stacked, because one setting is too small for an operation to be worth its overhead.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ltray.data.dataset import ImageData
from ltray.engine.train_step import derived_seed
from ltray.experiment import Experiment
from ltray.lr_schedule import learning_rate
from ltray.parts.losses import log_prior
from ltray.recipe import Recipe
from ltray.stage import Stage

CPU = torch.device("cpu")


def curves(settings: Sequence[Mapping[str, Any]], seed: int) -> list[list[float]]:
    """Train each setting; return its value after each epoch over all stages, until a score is not finite.

    Args:
        settings: Complete settings that differ in the learning rates, weight decays, momenta and the adjustment only;
            the methods are `cross_entropy` or `logit_adjustment`, then perhaps `lws`.
        seed: The training seed.
    """
    runs = [Experiment.from_settings(dict(one) | {"seed": seed}) for one in settings]
    data = runs[0].open_data(CPU)
    stages = runs[0].stages(data.tail)
    first = [run.knobs[0] for run in runs]
    factors = torch.tensor([float(getattr(knobs, "adjustment", 0.0)) for knobs in first])
    heads = _Heads(stages[0], data, adjustment=factors[:, None] * log_prior(data.tail).float())
    values = heads.train(stages[0], first, seed=derived_seed(seed, 0))
    for index, stage in enumerate(stages[1:], start=1):
        heads.freeze()
        values += heads.train(stage, [run.knobs[index] for run in runs], seed=derived_seed(seed, index))
    return [_until_nan(list(curve)) for curve in zip(*values, strict=True)]


class _Heads:
    """The classifiers of all settings: scores s·(W x + b), of which W and b are trained, then s.

    Args:
        stage: The stage whose network's classifier has the initial weights.
        data: The data set.
        adjustment: Added to the scores in training, for each setting (R, K).
    """

    def __init__(self, stage: Stage, data: ImageData, *, adjustment: Tensor) -> None:
        classifier = stage.network.classifier
        self._adjustment, self._data, count = adjustment, data, len(adjustment)
        self._weight = classifier.weight.detach().repeat(count, 1, 1)
        self._bias = classifier.bias.detach().repeat(count, 1)
        self._scale: Tensor | None = None
        features, labels = zip(*data.selection_features(stage), strict=True)
        self._features, self._labels = torch.cat(features), torch.cat(labels)

    def freeze(self) -> None:
        """Train one factor per class from now on, on unadjusted scores."""
        self._scale, self._adjustment = torch.ones_like(self._bias), torch.zeros_like(self._adjustment)

    def train(self, stage: Stage, recipes: Sequence[Recipe], *, seed: int) -> list[list[float]]:
        """Train one stage; return the values of all settings after each epoch."""
        loader = self._data.training(stage, stage.select(self._data.without_augmentation()), seed=seed)
        trained = [self._weight, self._bias] if self._scale is None else [self._scale]
        momentum, decay = (torch.tensor([getattr(r, name) for r in recipes]) for name in ("momentum", "weight_decay"))
        buffers: list[Tensor] = []
        values = []
        for epoch in range(stage.recipe.epochs):
            for step, batch in enumerate(loader.epoch(epoch)):
                at = {"epoch": epoch, "step": step, "steps": loader.steps}
                rates = torch.tensor([learning_rate(recipe, **at) for recipe in recipes])
                (features,) = batch.views.values()
                gradients = self._gradients(features, batch.labels)
                for tensor, gradient in zip(trained, gradients, strict=True):
                    gradient += _column(decay, tensor) * tensor
                if not buffers:
                    buffers = list(gradients)
                else:
                    for buffer, gradient in zip(buffers, gradients, strict=True):
                        buffer.mul_(_column(momentum, buffer)).add_(gradient)
                for tensor, buffer in zip(trained, buffers, strict=True):
                    tensor -= _column(rates, tensor) * buffer
            values.append(self._values())
        return values

    def _scores(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scores (R, B, K) without and with the factors."""
        raw = features @ self._weight.transpose(1, 2) + self._bias[:, None]
        return raw, raw if self._scale is None else raw * self._scale[:, None]

    def _gradients(self, features: Tensor, labels: Tensor) -> list[Tensor]:
        """Return the gradients of the mean cross-entropy by what is trained."""
        raw, scores = self._scores(features)
        error = F.softmax(scores + self._adjustment[:, None], dim=2)
        error[:, torch.arange(len(labels)), labels] -= 1.0
        error /= len(labels)
        if self._scale is not None:
            return [(error * raw).sum(1)]
        return [error.transpose(1, 2) @ features, error.sum(1)]

    def _values(self) -> list[float]:
        """Return the share of the selection images that each setting classifies correctly; NaN if it diverged."""
        _, scores = self._scores(self._features)
        found = (scores.argmax(2) == self._labels).float().mean(1)
        found[~torch.isfinite(scores).all(2).all(1)] = torch.nan
        values: list[float] = found.tolist()
        return values


def _column(values: Tensor, like: Tensor) -> Tensor:
    """Return one value for each setting in the shape that broadcasts over a stacked tensor."""
    return values.view(-1, *[1] * (like.dim() - 1))


def _until_nan(curve: list[float]) -> list[float]:
    ends = [index for index, value in enumerate(curve) if value != value]
    return curve[: ends[0]] if ends else curve
