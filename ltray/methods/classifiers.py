"""The choice of a classifier, for the methods that train one on any backbone."""

from dataclasses import dataclass
from typing import Protocol

from ltray.knobs import Knobs, knob
from ltray.network import Network
from ltray.parts.heads import CLASSIFIERS, CosineClassifier
from ltray.stage import BuildContext


@dataclass(frozen=True)
class ClassifierKnobs(Knobs):
    """Which classifier, and its scale."""

    classifier: str = knob(
        "linear",
        "",
        "linear with bias; cosine; l2: weights of unit length; layer_norm: these on normalised features",
        choices=tuple(CLASSIFIERS),
        before="linear",
    )
    classifier_scale: float = knob(
        30.0,
        "s",
        "factor of the cosine classifier",
        low=0.1,
        high=1000.0,
        log=True,
        search=(10.0, 40.0),
        needs=("classifier", ("cosine",)),
        before=30.0,
    )


class ClassifierChoice(Protocol):
    """What `classified_network` reads of a method's knobs."""

    @property
    def classifier(self) -> str:
        """A key of `CLASSIFIERS`."""
        ...

    @property
    def classifier_scale(self) -> float:
        """Factor of a cosine classifier."""
        ...


def classified_network(knobs: ClassifierChoice, context: BuildContext) -> Network:
    """Build the network with the classifier that the knobs name."""
    network = context.new_network(knobs.classifier)
    if isinstance(network.classifier, CosineClassifier):
        network.classifier.scale = knobs.classifier_scale
    return network
