"""The contract between methods and the engine: what a method declares, and what the engine provides."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from ltray.errors import UsageError
from ltray.long_tail import LongTail
from ltray.recipe import Recipe

if TYPE_CHECKING:
    from ltray.network import Network
    from ltray.parts.contrast import ContrastPairs

Losses = dict[str, Tensor]
"""Named scalars, already weighted; their sum is minimised."""


@dataclass(frozen=True)
class View:
    """One augmented version of each image.

    Attributes:
        name: Its key in the batch: `batch["query"]`.
        augmentation: A policy of `ltray.data.transforms.policies`, resolved per image size.
        smallest_areas: The smallest crop of each epoch as a share of the image's area, in place of the policy's own;
            later epochs have the last one. Empty: the policy's own.
    """

    name: str
    augmentation: str = "standard"
    smallest_areas: tuple[float, ...] = ()


@dataclass(frozen=True)
class Patches(View):
    """Small crops of another view, before its photometric transforms, with their boxes.

    Attributes:
        of: Name of the view from which they are cropped.
        count: Patches per image, L.
        size: Side of a patch after resizing, in pixels.
        scale: Range of the patch's share of the area (or of each side, see `boxes`).
        boxes: A name of `ltray.data.transforms.patches.BOXES`: "area" (DSCL's code) or "side" (its Algorithm 1).
    """

    of: str = "query"
    count: int = 5
    size: int = 64
    scale: tuple[float, float] = (0.05, 0.6)
    boxes: str = "area"


@dataclass
class Batch:
    """One worker's images of one step.

    Attributes:
        views: Normalised images (B, 3, H, W) by view name; patches are (B, L, 3, h, w).
        labels: Class indices (B,), int64.
        indices: Training position of each image (B,), int64: its index in the training set, not in the epoch or batch.
        boxes: Patch boxes (B, L, 4) in pixels of their view, x1 y1 x2 y2, or None.
    """

    views: Mapping[str, Tensor]
    labels: Tensor
    indices: Tensor
    boxes: Tensor | None = None

    def __getitem__(self, view: str) -> Tensor:
        return self.views[view]


@dataclass(frozen=True)
class ScorePrior:
    """The class prior of scores z: softmax((z − added) / T) are posteriors under it, with the calibrating T.

    Attributes:
        log_prior: Of each class (K,), up to a constant.
        added: What was added to each class's score after training (K,), such as −τ·log π, or 0.
    """

    log_prior: Tensor
    added: Tensor | float = 0.0


class Stage(nn.Module):
    """A part of the training with one objective.

    Its state between steps is a parameter or a registered buffer, allocated in
    `__init__`: the checkpoint is `state_dict()` and a position.

    Attributes:
        recipe: Epochs, batch size, learning rate.
        network: The network that `logits` evaluates and that a following method continues from; set by the
            subclass's `__init__`.
        views: Exactly the views that `forward` reads.
        source: Its training input: "images", or "features" of the frozen network.
        feature_passes: Passes over the training set whose features it reads: 1 without augmentation, or n augmented
            ones, of which epoch e has pass e mod n.
        sampling: The order of an epoch, a name of `ltray.data.sampling.SAMPLINGS`; with
            "pairs", labels and indices are those of the first image.
        class_run: Number of consecutive images of a class under "class_aware".
        long_epoch: Whether an epoch of "class_aware" has n_max·K draws instead of N.
        optimizer: A name of `ltray.engine.optimizers.OPTIMIZERS`.
        observing: Whether this is the last step of an epoch, in which `observe` computes; set by the engine.
        observed: What `observe` computed: sum and number (2,) over this worker's part, by name.
    """

    network: "Network"
    views: Sequence[View] = (View("image"),)
    source: str = "images"
    feature_passes: int = 1
    sampling: str = "natural"
    class_run: int = 4
    long_epoch: bool = False
    optimizer: str = "sgd"
    observing: bool = False
    observed: Mapping[str, Tensor] = {}

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        if (
            recipe.optimizer != Recipe.optimizer
        ):  # the optimizer of a stage's class is used unless the recipe sets another one
            self.optimizer = recipe.optimizer

    def forward(self, batch: Batch) -> Losses:
        """Return the loss terms of a batch; called in training mode, once per step."""
        raise TypeError(f"{type(self).__name__} must define forward(batch).")

    def logits(self, images: Tensor) -> Tensor:
        """Return scores (B, K) of evaluation images: the network's, without terms that are used only in training.

        Called in evaluation mode; changes nothing.
        """
        scores: Tensor = self.network(images)
        return scores

    def observe(self, means: Callable[[], Mapping[str, Tensor]]) -> None:
        """Compute means for the metrics of an epoch, `train/<name>`, in its last step; `forward` calls it.

        Args:
            means: Computes, by name, the sum over this worker's part and the number of its items, (2,) each; called
                without gradient. It must not change the state of the stage.
        """
        if self.observing:
            with torch.no_grad():
                self.observed = dict(means())

    def pairs(self, batch: Batch) -> "ContrastPairs | None":
        """Return the pairs of anchors and keys that `forward` compares in a batch, for `ltray analyse RUN`.

        Called in training mode and without gradient, on a stage that is not used afterwards.

        Returns:
            The pairs; None (the default): the stage has no contrastive loss of pairs.
        """
        return None

    def score_prior(self, tail: LongTail, before: "ScorePrior | None") -> "ScorePrior | None":
        """Return the class prior under which `logits` are log posteriors.

        Predictions can be adapted to other class shares if it is known. The scores of plain cross-entropy on the
        training images have the prior of the training set; those of Balanced Softmax have the uniform one.

        Args:
            tail: Class counts of the training set.
            before: That of the preceding stage's scores; None: there is no such stage, or it is not known.

        Returns:
            The prior; None (the default): the loss does not give posteriors, or those of no known prior.
        """
        return None

    def check(self, tail: LongTail, class_names: Sequence[str]) -> None:
        """Check before a launch that `prepare` will not fail; no weights are loaded, and no images are read.

        Args:
            tail: Class counts of the training set.
            class_names: Names of its classes, in label order.

        Raises:
            UsageError: The data or the weights do not have what the stage needs.
        """

    def prepare(self, data: "TrainingData") -> None:
        """Compute what is needed once before the first epoch; results are stored in buffers."""

    def select(self, data: "TrainingData") -> Tensor | None:
        """Return the training positions to use (int64), or None for all; a pure function of buffers."""
        return None

    def feature_network(self) -> nn.Module:
        """Return the frozen module, images to features (B, d), that `source = "features"` reads: the backbone."""
        return self.network.backbone

    def trained(self) -> Sequence[nn.Module]:
        """Return the modules to train; the rest is frozen and in evaluation mode.

        A module inside them with the attribute `never_trained = True` (a momentum copy) is in
        training mode, for its BatchNorm, but its parameters stay frozen; one with
        `never_changed = True` (a frozen backbone) stays in evaluation mode as well.
        """
        return [self]

    def begin_epoch(self, epoch: int) -> None:
        """Set the values that depend only on the epoch (such as deferred re-weighting)."""

    def end_epoch(self, data: "TrainingData") -> None:
        """Evaluate the training set after an epoch's last step (choice of an epoch); results are stored in buffers."""

    def chosen(self) -> dict[str, float]:
        """Return the values that were chosen without training (τ, T), by symbol, for reports."""
        return {}

    def adopt(self, chosen: Mapping[str, float]) -> None:
        """Set the values that `prepare` chooses on validation images, in its place.

        The final training of a cross-validation uses all images and gets the values that the folds chose. Only stages
        without epochs are called.

        Args:
            chosen: The mean over the folds of what `chosen` returned there, by symbol.
        """
        raise UsageError(
            f"{type(self).__name__} chooses values on validation images and does not define `adopt`, so that a "
            "cross-validation (`folds`) cannot use it; set folds=0."
        )

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the optimiser's groups; `lr_scale` multiplies the learning rate."""
        return [{"params": [p for m in self.trained() for p in m.parameters() if p.requires_grad]}]


@dataclass(frozen=True)
class BuildContext:
    """The inputs from which a method builds its stages.

    Attributes:
        tail: Class counts of the training set.
        new_network: Builds an untrained network; its argument is the kind of classifier,
            "linear" or "cosine".
        start: The network from which to continue, for methods that continue from another.
        image_size: Side of a view in pixels.
        pretrained: Whether a new network starts from given weights.
        text_rows: Computes a row of a classifier (K, d) for each class name by the text tower of its weights; None if
            they have none.
    """

    tail: LongTail
    new_network: Callable[[str], "Network"]
    start: "Network | None" = None
    image_size: int = 32
    pretrained: bool = False
    text_rows: "TextRows | None" = None

    def continued(self) -> "Network":
        """Return the network from which to continue.

        Raises:
            UsageError: There is none.
        """
        if self.start is None:
            raise UsageError("This method continues from a trained network: add a method before it, or use --from RUN.")
        return self.start


@dataclass(frozen=True)
class Method:
    """The method of one paper: its knobs, and the function that builds its stages from them.

    Attributes:
        name: Its name in settings and files.
        paper: Authors, title, venue and link, one line.
        knobs: Its hyperparameters.
        stages: Builds the stages; the last one's `logits` are the method's prediction.
        needs_network: Whether it continues from `context.start`.
        distils: Whether `context.start` is only the teacher of a network that the method builds.
        train: The part of pretrained weights that the paper trains, by profile, instead of all; see
            `ltray.parts.fine_tuning.TRAIN`. Where that is for transformers only, it is `head` on other networks.
        path: Dotted path of a method from another package (`mypackage.gcl:METHOD`), set by `find_method`; "" for
            ltray's own.
    """

    name: str
    paper: str
    knobs: type[Recipe]
    stages: Callable[[Any, BuildContext], Sequence[Stage]]
    needs_network: bool = False
    distils: bool = False
    train: Mapping[str, str] = field(default_factory=dict)
    path: str = ""

    @property
    def reference(self) -> str:
        """Its entry in the setting `methods`: its name, or its dotted path."""
        return self.path or self.name

    @property
    def builds(self) -> bool:
        """Whether it builds a new network."""
        return self.distils or not self.needs_network


class TextRows(Protocol):
    """The text tower of given weights."""

    def __call__(self, class_names: Sequence[str]) -> Tensor:
        """Return a row of a classifier (K, d) for each class name, float32."""
        ...

    def check(self, class_names: Sequence[str]) -> None:
        """Check before a launch that the rows can be computed; nothing is downloaded.

        Raises:
            UsageError: They cannot.
        """
        ...


class TrainingData(Protocol):
    """The training set without augmentation, for `prepare` and `select`."""

    @property
    def labels(self) -> Tensor:
        """Labels of the training set in its order (N,), int64."""
        ...

    @property
    def class_names(self) -> Sequence[str]:
        """Names of the classes in label order (K)."""
        ...

    def features(self, network: nn.Module) -> Tensor:
        """Features (N, d) of the un-augmented training images under `network`, float32."""
        ...

    def selection_features(self, network: nn.Module) -> tuple[Tensor, Tensor]:
        """Features (M, d), float32, and labels (M,) of the images on which models are compared.

        These are validation images, or test images with the `paper` protocol only. They are
        for values that are chosen without training, such as τ.
        """
        ...


class Loader(Protocol):
    """The batches of one stage for this worker."""

    @property
    def steps(self) -> int:
        """Steps per epoch."""
        ...

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """Yield this worker's batches of `epoch` from `first_step`; a pure function of both."""
        ...


class EvaluationLoader(Protocol):
    """Each image of a split once, over all workers, in any order."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (images (B, 3, H, W), labels (B,)) of this worker's share."""
        ...


class Data(Protocol):
    """The interface of a data set for the engine; FFCV in production, tensors in tests."""

    @property
    def tail(self) -> LongTail:
        """Class counts of the training set."""
        ...

    def training(self, stage: Stage, selected: Tensor | None, *, seed: int) -> Loader:
        """Return the loader of a stage's views, shuffled by `seed`."""
        ...

    def selection_features(self, stage: Stage) -> EvaluationLoader:
        """The features, under `stage.feature_network()`, of the images that `selection` yields."""
        ...

    def selection(self) -> EvaluationLoader:
        """The images on which epochs and trials are compared: validation, or test under `paper`."""
        ...

    def test(self) -> EvaluationLoader:
        """The test set; read once, for final models."""
        ...

    def without_augmentation(self) -> TrainingData:
        """The training set without augmentation."""
        ...
