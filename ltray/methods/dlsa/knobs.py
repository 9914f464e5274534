"""The hyperparameters of DLSA; those of the recipe apply to its Flow Filters."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ltray.following import (
    BATCH,
    EPOCHS,
    Facts,
    Follow,
    at_most_images,
    batch,
    divisions,
    images_of,
    scaled_with,
)
from ltray.knobs import Value, knob
from ltray.recipe import FROZEN, Recipe

SMALLEST_PART = 10
IMAGES_A_CLUSTER = 20
LARGE_CLUSTER = 5
TRUSTED_SCALE = 10_000


def _features(value: str, facts: Facts) -> str:
    """The raw features of a network trained on few images can have any scale; a Flow Filter can then diverge."""
    images = facts.size.images
    return value if images is None or images >= TRUSTED_SCALE else "unit"


def _most_divisions(images: int, facts: Facts) -> int:
    return divisions(images, facts.now["proportion"], SMALLEST_PART)


def _most_clusters(images: int, facts: Facts) -> int:
    return max(images // IMAGES_A_CLUSTER, 2)


def _large_cluster(value: int, facts: Facts) -> int:
    images = facts.size.images
    return value if images is None else max(value, LARGE_CLUSTER * images // facts.now["clusters"])


@dataclass(frozen=True)
class DLSAKnobs(Recipe):
    """Flow Filters, how they divide, and the classifiers of the parts.

    `epochs`, `batch_size`, `learning_rate` and the rest of the recipe train each Flow Filter;
    the knobs that start with `classifier_` train each classifier.
    """

    layer_decay: float = Recipe.redeclared("layer_decay", 1.0, refused=FROZEN)
    drop_path: float = Recipe.redeclared("drop_path", 0.0, refused=FROZEN)
    epochs: int = Recipe.redeclared("epochs", 50, help="passes over the open images for each Flow Filter", low=1)
    batch_size: int = Recipe.redeclared(
        "batch_size",
        256,
        help="pairs per step, over all workers",
        low=2,
        search=(64, 128, 256, 512, 1024),
        follows=batch(steps=5),
    )
    learning_rate: float = Recipe.redeclared(
        "learning_rate",
        0.2,
        help="of the Flow Filters",
        search=(0.02, 0.5),
        tried=(0.1, 0.2),
        follows=scaled_with("batch_size"),
    )
    weight_decay: float = Recipe.redeclared("weight_decay", 0.0, search=None)
    momentum: float = Recipe.redeclared("momentum", 0.0)
    warmup_epochs: int = Recipe.redeclared("warmup_epochs", 0)
    schedule: str = Recipe.redeclared("schedule", "constant")
    milestones: tuple[int, ...] = Recipe.redeclared("milestones", (30, 40))

    depth: int = knob(
        1,
        "D",
        "number of divisions, each with its own Flow Filter",
        low=1,
        high=8,
        search=(1, 4),
        tried=(1, 3),
        changes_length=True,
        follows=at_most_images(f"each division keeps at least {SMALLEST_PART} images", _most_divisions),
    )
    proportion: float = knob(
        0.3, "", "fraction of the remaining images that a division separates", low=0.01, high=0.99, search=(0.1, 0.5)
    )
    features: str = knob(
        "unit",
        "",
        "unit: divided by their root mean square on the training set; raw: the network's output (official code)",
        choices=("unit", "raw"),
        follows=Follow(f"unit below {TRUSTED_SCALE:,} training images", _features, images_of),
    )
    clusters: int = knob(
        100,
        "K",
        "number of Gaussians in a Flow Filter",
        low=2,
        high=10_000,
        log=True,
        search=(10, 1000),
        tried=(300, 500, 1000),
        follows=at_most_images(f"at most one for {IMAGES_A_CLUSTER} training images", _most_clusters),
    )
    mean_distance: float = knob(
        3.2,
        "√(2d)·σ",
        "root mean square distance of two Gaussians; 3.2 is σ = 0.05 at width 2048, 3 follows the three-sigma rule",
        low=0.01,
        high=100.0,
        search=(1.5, 4.5),
    )
    blocks: int = knob(2, "", "number of autoregressive blocks of a flow", low=1, high=32, search=(1, 4))
    hidden_layers: int = knob(1, "", "number of hidden-to-hidden layers in a block", low=0, high=16, search=(0, 2))

    likelihood_weight: float = knob(
        1.0,
        "λ_MLE",
        "weight of L_MLE; 0: the loss is not used",
        low=0.0,
        high=100.0,
        search=(0.5, 4.0),
        tried=(0.0, 1.0, 2.0),
        dynamic=True,
    )
    balance_weight: float = knob(
        1.0,
        "λ_bal",
        "weight of L_bal; 0: the loss is not used",
        low=0.0,
        high=100.0,
        search=(0.3, 4.0),
        tried=(0.0, 1.0, 2.0),
        dynamic=True,
    )
    purity_weight: float = knob(
        0.02,
        "λ_pure",
        "weight of L_pure; 0: the loss is not used",
        low=0.0,
        high=10.0,
        log=True,
        search=(0.005, 0.1),
        tried=(0.0, 0.02, 0.03, 0.05),
        dynamic=True,
    )
    class_power: float = knob(
        2.0,
        "q",
        "exponent q of the class weights (n_max/n)^q in L_MLE",
        low=0.0,
        high=4.0,
        search=(0.0, 3.0),
        tried=(2.0,),
    )
    cluster_momentum: float = knob(
        0.7, "η", "momentum of the average cluster use in L_bal", low=0.0, high=0.9999, search=(0.0, 0.95), tried=(0.7,)
    )
    hard_purity: bool = knob(False, "", "whether the target of L_pure is only the most likely cluster")
    fixed_target: bool = knob(True, "", "whether no gradient flows through the target of L_pure")

    min_purity: float = knob(
        0.7, "", "minimum purity of a good cluster; the epoch with the most good clusters is kept", low=0.0, high=1.0
    )
    min_size: int = knob(10, "", "a good cluster has more images than this", low=0, high=1_000_000)
    max_size: int = knob(
        5000,
        "",
        "an epoch in which a cluster has this many images is not kept",
        low=1,
        high=1_000_000_000,
        follows=Follow(f"at least {LARGE_CLUSTER} times the images of an average cluster", _large_cluster, images_of),
    )

    classifier_epochs: int = knob(
        150, "", "number of epochs for each classifier, over the images of its part", low=1, high=10_000, follows=EPOCHS
    )
    classifier_batch_size: int = knob(128, "B", "images per step for a classifier", low=1, high=65_536, follows=BATCH)
    classifier_learning_rate: float = knob(
        1e-2,
        "lr",
        "learning rate of the classifiers",
        low=1e-8,
        high=100.0,
        log=True,
        search=(1e-5, 1.0),
        tried=(1e-4, 1e-2),
    )
    classifier_loss: str = knob(
        "balanced_softmax", "", "loss of the classifiers", choices=("balanced_softmax", "cross_entropy")
    )
    classifier_sampling: str = knob("natural", "", "order of a part's images", choices=("natural", "class_aware"))
    classifier: str = knob(
        "linear",
        "",
        "warm_linear: a linear classifier, initialised with the network's classifier, which must be linear (PaCo)",
        choices=("linear", "warm_linear", "cosine"),
    )
    smoothing: float = knob(
        0.0, "", "label smoothing of the classifiers, over the other classes", low=0.0, high=0.9, tried=(0.1,)
    )
    rest_counts: str = knob(
        "all",
        "",
        "class counts for Balanced Softmax in the last classifier: of all images (official code) or of its part",
        choices=("all", "part"),
        needs=("classifier_loss", ("balanced_softmax",)),
    )

    paper_values: ClassVar[Mapping[str, Mapping[str, Value]]] = {
        "default": dict(),
        "cifar10_lt": dict(clusters=20),
        "cifar100_lt": dict(clusters=100),
        "imagenet_lt": dict(
            features="raw",
            batch_size=1024,
            clusters=500,
            depth=3,
            likelihood_weight=2.0,
            classifier_learning_rate=1e-4,
            classifier="warm_linear",
        ),
        "places_lt": dict(
            features="raw", epochs=60, batch_size=512, clusters=500, balance_weight=2.0, purity_weight=0.03
        ),
        "inat18": dict(
            features="raw",
            epochs=30,
            batch_size=1024,
            clusters=500,
            depth=3,
            classifier_learning_rate=1e-4,
            classifier="warm_linear",
        ),
        "digits_lt": dict(
            epochs=10,
            batch_size=64,
            clusters=10,
            classifier_epochs=20,
            classifier_batch_size=32,
            classifier_learning_rate=0.5,
        ),
    }
