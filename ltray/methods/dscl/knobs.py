"""DSCL's hyperparameters, its ablations as switches, and the recipe of its second stage."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ltray.following import BATCH, at_most_images, scaled_with
from ltray.knobs import Value, knob
from ltray.parts.momentum import MomentumKnobs
from ltray.recipe import Recipe
from ltray.stages.second_stage import FEATURES, SecondStageKnobs

LARGEST_QUEUE = 65_536
PATCH_SHARE = 64 / 224


@dataclass(frozen=True)
class DSCLKnobs(MomentumKnobs, Recipe):
    """DSCL's hyperparameters, and its ablations as switches.

    Only the ImageNet-LT setting is published. On small images the patch side and the queue
    follow the image size and the training set, and the linear stage's rate its batch.
    """

    batch_size: int = Recipe.redeclared("batch_size", 256)
    warmup_epochs: int = Recipe.redeclared("warmup_epochs", 10)
    schedule: str = Recipe.redeclared("schedule", "cosine_per_step")

    alpha: float = knob(
        1.0 / 9.0,
        "α",
        "target of the anchor's own key; the official code has β = (1−α)/α = 8",
        low=1e-4,
        high=1.0,
        log=True,
        search=(0.02, 0.5),
        tried=(1.0 / 9.0,),
        needs=("loss", ("decoupled",)),
        dynamic=True,
    )
    temperature: float = knob(
        0.07,
        "τ",
        "temperature of both losses",
        low=1e-3,
        high=10.0,
        log=True,
        search=(0.05, 0.2),
        tried=(0.07,),
        dynamic=True,
    )
    queue_size: int = knob(
        0,
        "|M|",
        f"number of keys in the queue; 0: half as many as training images, {LARGEST_QUEUE} at most",
        low=0,
        high=2**20,
        tried=(LARGEST_QUEUE,),
        follows=at_most_images("0 where it is more than the training images", lambda images, facts: images, instead=0),
    )
    queue_start: str = knob(
        "random",
        "",
        "initial content of the queue: random unit vectors, or nothing",
        choices=("random", "empty"),
        needs=("queue_kind", ("original",)),
    )
    queue_kind: str = knob(
        "original",
        "",
        "original: one queue for all classes; balanced: the same number of keys per class (ablation)",
        choices=("original", "balanced"),
    )
    projection_width: int = knob(128, "d", "width of the embedding", low=1, high=4096, log=True, search=(64, 256))
    zero_start: bool = knob(
        False,
        "",
        "initialise the last BatchNorm of every residual block with 0 (official code); overwrites pretrained weights",
    )
    loss: str = knob(
        "decoupled",
        "",
        "decoupled: DSCL's loss; supervised: equal weights for all positives (SCL in the ablation)",
        choices=("decoupled", "supervised"),
    )
    contrast_set: str = knob(
        "batch_and_queue",
        "",
        "keys of batch and queue (official code), or only of the queue (paper)",
        choices=("batch_and_queue", "queue"),
    )
    alone: str = knob(
        "own_key",
        "",
        "target of an anchor without other positives: 1 for its own key (official code), or α (paper)",
        choices=("own_key", "alpha"),
        needs=("loss", ("decoupled",)),
    )
    effective_number_beta: float = knob(
        0.0,
        "",
        "β of the anchors' weights by effective number (re-weighting in the ablation); 0: equal weights",
        low=0.0,
        high=0.99999999,
        search=(0.0, 0.9, 0.99, 0.999),
    )

    distillation_weight: float = knob(
        1.5,
        "λ",
        "weight of PBSD; 0: only DSCL, without patches",
        low=0.0,
        high=100.0,
        search=(0.25, 3.0),
        tried=(0.0, 1.5),
        dynamic=True,
    )
    patches: int = knob(5, "L", "number of patches per image", low=1, high=64, search=(1, 8), tried=(5,))
    patch_size: int = knob(
        0,
        "",
        "side of a patch in pixels; 0: 2/7 of the view's side, which is 64 for 224",
        low=0,
        high=2048,
        tried=(64,),
    )
    patch_scale_low: float = knob(
        0.05,
        "s_1",
        "smallest size of a patch, as a fraction of the view",
        low=1e-4,
        at_most="patch_scale_high",
        search=(0.03, 0.3),
        tried=(0.05, 0.1, 0.15, 0.3, 1.0),
    )
    patch_scale_high: float = knob(
        0.6,
        "s_2",
        "largest size of a patch, as a fraction of the view",
        low=1e-4,
        high=1.0,
        search=(0.4, 0.8),
        tried=(0.5, 0.6, 0.7, 1.0),
    )
    patch_boxes: str = knob(
        "area",
        "",
        "what `patch_scale_low` and `patch_scale_high` refer to: the area (official code) or each side (Alg. 1)",
        choices=("area", "side"),
    )

    linear_epochs: int = knob(
        40, "", "epochs of the linear stage, at least 1; ×0.1 at a half and at three quarters", low=0, in_epochs=True
    )
    linear_batch_size: int = knob(2048, "", "images per step in the linear stage", low=1, high=65_536, follows=BATCH)
    linear_learning_rate: float = knob(
        10.0,
        "",
        "learning rate of the linear stage",
        low=1e-8,
        high=100.0,
        log=True,
        search=(0.01, 30.0),
        tried=(10.0,),
        follows=scaled_with("linear_batch_size"),
    )
    linear_weight_decay: float = knob(0.0, "", "L2 penalty of the linear stage", low=0.0, high=1.0)
    linear_features: str = knob(
        "shifting",
        "",
        "features of the linear stage. shifting: of augmented images, with BatchNorm statistics that adapt to the "
        "balanced batches (official code); fixed: with fixed BatchNorm statistics; cached: of images without "
        "augmentation, computed once",
        choices=FEATURES,
    )

    paper_values: ClassVar[Mapping[str, Mapping[str, Value]]] = {
        "default": dict(),
        "cifar10_lt": dict(linear_batch_size=256, linear_learning_rate=1.25),
        "cifar100_lt": dict(linear_batch_size=256, linear_learning_rate=1.25),
        "imagenet_lt": dict(queue_size=65_536, zero_start=True),
        "places_lt": dict(),
        "inat18": dict(zero_start=True),
        "digits_lt": dict(
            epochs=30,
            batch_size=32,
            warmup_epochs=2,
            linear_epochs=20,
            linear_batch_size=32,
            linear_learning_rate=0.02,
            learning_rate=0.05,
            temperature=0.2,
            key_momentum=0.9,
        ),
    }


def linear_knobs(knobs: DSCLKnobs) -> SecondStageKnobs:
    """Return the recipe of the second stage."""
    epochs = max(knobs.linear_epochs, 1)
    return SecondStageKnobs(
        epochs=epochs,
        batch_size=knobs.linear_batch_size,
        learning_rate=knobs.linear_learning_rate,
        weight_decay=knobs.linear_weight_decay,
        optimizer=knobs.optimizer,
        decay_norms=knobs.decay_norms,
        clip_norm=knobs.clip_norm,
        momentum=knobs.momentum,
        schedule="step",
        milestones=(epochs // 2, epochs * 3 // 4),
        average_decay=knobs.average_decay,
        precision=knobs.precision,
        features=knobs.linear_features,
    )
