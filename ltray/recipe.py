"""The recipe of a stage (epochs, batch size, SGD): the knobs that every method has."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch

from ltray.errors import UsageError
from ltray.following import BATCH, EPOCHS, MILESTONES, Facts, TrainingSize
from ltray.hardware import BFLOAT16, FLOAT32
from ltray.knobs import AUTO, Above, Knobs, Needs, Value, knob
from ltray.lr_schedule import SCHEDULES

PRECISIONS: Mapping[str, torch.dtype] = {FLOAT32: torch.float32, BFLOAT16: torch.bfloat16}
"""Number format of the forward pass by name; weights and updates are always float32."""

FROZEN = "this method trains no part of the backbone"
NO_SOFT_LABELS = "the loss of this method takes no soft labels"
STEPS: Needs = ("schedule", ("step",))


# A few hundred images need many small steps; this is our choice, because no paper uses the digits.
DIGITS: Mapping[str, Value] = dict(epochs=30, batch_size=16, learning_rate=0.05, warmup_epochs=2, milestones=(24, 27))
"""The recipe, on the profile `digits_lt`, of the methods that train a new network."""


@dataclass(frozen=True)
class Recipe(Knobs):
    """Epochs, batch and SGD; methods add their own knobs by inheriting from it.

    Knobs that count epochs (`warmup_epochs`, `milestones`) refer to the paper's
    number of epochs; `resolve` scales them with `epochs`.
    """

    epochs: int = knob(200, "", "passes over the training set", low=0, high=10_000, follows=EPOCHS)
    batch_size: int = knob(
        128,
        "B",
        "images per step, over all workers",
        low=1,
        high=65_536,
        search=(16, 32, 64, 128, 256, 512),
        follows=BATCH,
    )
    learning_rate: float = knob(
        0.1, "lr", "peak learning rate", low=1e-8, high=100.0, log=True, search=(0.02, 0.3), dynamic=True
    )
    weight_decay: float = knob(5e-4, "wd", "L2 penalty", low=0.0, high=1.0, log=True, search=(1e-4, 1e-3), dynamic=True)
    optimizer: str = knob(
        "sgd", "", "algorithm that updates the weights", choices=("sgd", "adamw", "adam", "lamb"), before="sgd"
    )
    decay_norms: bool = knob(
        True,
        "",
        "whether norms and biases (all vectors) have weight decay too",
        needs=("weight_decay", Above(0.0)),
        before=True,
    )
    clip_norm: float = knob(0.0, "", "largest norm of all gradients of a step; 0: no limit", low=0.0, before=0.0)
    layer_decay: float = knob(
        1.0,
        "",
        "factor of the learning rate per block of the backbone from the last to the first; 1: equal rates",
        low=0.01,
        high=1.0,
        before=1.0,
    )
    drop_path: float = knob(
        0.0,
        "",
        "stochastic depth: share of images for which the last residual branch of the backbone is left out, falling "
        "linearly to 0 at the first",
        low=0.0,
        high=0.95,
        before=0.0,
        refused="the stochastic depth of several views or parts of a network would differ with the number of workers",
    )
    label_smoothing: float = knob(
        0.0,
        "ε",
        "share of the label that is spread evenly over all classes",
        low=0.0,
        high=0.99,
        before=0.0,
        refused=NO_SOFT_LABELS,
    )
    mixup: float = knob(
        0.0,
        "α",
        "α of the weight λ ~ Beta(α, α) with which pairs of images are blended; 0: no mixup",
        low=0.0,
        high=10.0,
        before=0.0,
        refused=NO_SOFT_LABELS,
    )
    cutmix: float = knob(
        0.0,
        "α",
        "α of the share λ ~ Beta(α, α) of an image that is not replaced by a rectangle of another; 0: no CutMix; with "
        "mixup, each has half of the batches",
        low=0.0,
        high=10.0,
        before=0.0,
        refused=NO_SOFT_LABELS,
    )
    feature_passes: int = knob(
        0,
        "",
        "passes of a frozen backbone over the training set, whose features are kept and trained on; 1: without "
        "augmentation; n: augmented, epoch e uses pass e mod n; 0: it sees the images of every epoch",
        low=0,
        high=1000,
        before=0,
        refused="this method needs the images in every epoch",
    )
    momentum: float = knob(
        0.9, "μ", "momentum of SGD", low=0.0, high=0.9999, dynamic=True, needs=("optimizer", ("sgd",))
    )
    nesterov: bool = knob(False, "", "Nesterov momentum", needs=("momentum", Above(0.0)))
    warmup_epochs: int = knob(5, "", "epochs of linear warm-up", low=0, at_most="epochs", in_epochs=True)
    schedule: str = knob(
        "step",
        "",
        "learning-rate schedule after the warm-up",
        choices=tuple(SCHEDULES),
    )
    milestones: tuple[int, ...] = knob(
        (160, 180), "", "epochs at which `step` decays", low=0, in_epochs=True, needs=STEPS, follows=MILESTONES
    )
    decay: float = knob(0.1, "", "factor at each milestone", low=0.0, high=1.0, needs=STEPS)
    average_decay: float = knob(
        0.0,
        "",
        "decay per step of the moving average of the weights, which is then evaluated and saved; 0: no average",
        low=0.0,
        high=0.99999,
    )
    precision: str = knob(
        FLOAT32,
        "",
        "number format of the forward pass; auto: bfloat16 where the device computes it natively, else float32",
        choices=tuple(PRECISIONS),
        by_device=True,
    )

    @classmethod
    def resolve(cls, profile: str, given: Mapping[str, Any], *, complete: bool = False) -> Self:
        """Return the papers' setting for `profile`, with the values of `given` instead of the papers'.

        If `given` changes `epochs` but not the knobs that count epochs, these keep
        their share of the run: 400 epochs with milestones 320 and 360 become 10 with 8 and 9.

        Args:
            profile: A key of `paper_values`.
            given: Values by knob name.
            complete: Whether they are all values of a recipe; some of them may have no effect.

        Raises:
            UsageError: A name is unknown, a type is wrong, or a value is illegal or has no effect.
        """
        for name in given:
            cls.check_name(name)
        published = cls.paper_setting(profile)
        fields = {name: published.get(name, getattr(cls, name)) for name in cls.specs()}
        before = int(fields["epochs"])
        epochs = given.get("epochs", before)
        if isinstance(epochs, int) and before > 0 and epochs != before:
            fields |= cls._in_proportion(fields, epochs / before)
        resolved = cls(**cls._within_order(fields | dict(given), given))
        if not complete:
            resolved.check_effects(name for name in given if getattr(resolved, name) != fields[name])
        return resolved

    @classmethod
    def _within_order(cls, values: dict[str, Any], given: Collection[str]) -> dict[str, Any]:
        """Return the values; those that were not given are lowered to the knob that bounds them."""
        for name, spec in cls.specs().items():
            if name in given or not isinstance(spec.at_most, str):
                continue
            value, bound = values[name], values[spec.at_most]
            if isinstance(bound, int | float) and not isinstance(bound, bool) and value > bound:
                values[name] = bound
        return values

    def following(self, size: TrainingSize, explicit: Collection[str]) -> Self:
        """Return the recipe, with the values that were not set adapted to the data; see `Knobs.following`.

        Epochs are adapted only if no knob that counts epochs is set; these knobs are scaled with the epochs.
        """
        if self.specs()["epochs"].high == 0:
            return self  # no training
        counting = {name for name, spec in self.specs().items() if spec.in_epochs} & set(explicit)
        if counting or "epochs" in explicit:
            return super().following(size, {*explicit, "epochs"})
        values = self.as_dict()
        epochs = EPOCHS.rule(self.epochs, Facts(size, values, values))
        shorter = self if epochs == self.epochs else self.shortened(epochs)
        return super(Recipe, shorter).following(size, explicit)

    def undetermined(self) -> list[str]:
        """Return the names of the knobs that are `auto`; see `ltray.hardware`."""
        return [name for name, spec in self.specs().items() if spec.by_device and getattr(self, name) == AUTO]

    def determined(self, values: Mapping[str, str]) -> Self:
        """Return the recipe with the values of the knobs that are `auto`, by name."""
        return self.replace(**{name: values[name] for name in self.undetermined() if name in values})

    def shortened(self, epochs: int) -> Self:
        """Return the recipe of a run of `epochs` epochs whose schedule keeps its shares of the run.

        Args:
            epochs: At least 1.
        """
        return self.replace(epochs=epochs, **self._in_proportion(self.as_dict(), epochs / self.epochs))

    @classmethod
    def _in_proportion(cls, fields: Mapping[str, Any], share: float) -> dict[str, Value]:
        return {name: _scaled(fields[name], share) for name, spec in cls.specs().items() if spec.in_epochs}


def _scaled(value: Any, share: float) -> Value:
    if isinstance(value, tuple):  # a decay after the first epoch must remain after it
        return tuple(max(round(v * share), min(v, 1)) for v in value)
    return int(round(value * share))


def check_shared(what: str, batch_size: Any, workers: int) -> None:
    """Check that a batch can be divided equally among workers.

    Raises:
        UsageError: It cannot; the message contains a possible number.
    """
    if batch_size % workers:
        raise UsageError(
            f"{what} is {batch_size}, which cannot be divided equally among {workers} workers; use "
            f"{max(batch_size // workers, 1) * workers}."
        )
