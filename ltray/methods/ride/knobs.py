"""The hyperparameters of RIDE."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ltray.following import BATCH, BEFORE_THE_END
from ltray.knobs import Value, knob
from ltray.methods.cross_entropy import BaselineKnobs
from ltray.recipe import Recipe

MOST_EXPERTS = 8
SEVERAL = ("experts", tuple(range(2, MOST_EXPERTS + 1)))


def _top_choices(knobs: "RIDEKnobs", classes: int) -> int:
    return classes


@dataclass(frozen=True)
class RIDEKnobs(BaselineKnobs):
    """The experts, their diversity, and the routing stage."""

    weight_decay: float = Recipe.redeclared("weight_decay", 5e-4)
    drop_path: float = Recipe.redeclared("drop_path", 0.0)
    feature_passes: int = Recipe.redeclared("feature_passes", 0)
    layer_decay: float = Recipe.redeclared(
        "layer_decay", 1.0, refused="the experts are parallel, so that their blocks have no single order"
    )
    nesterov: bool = Recipe.redeclared("nesterov", True)
    experts: int = knob(
        3,
        "E",
        "number of experts; 6 for the teacher of the distillation; with 1, no diversity term and no routing",
        low=1,
        high=MOST_EXPERTS,
        search=(2, 4),
        tried=(1, 2, 3, 4, 6),
    )
    narrow: bool = knob(True, "", "whether the layers of each expert have three quarters of the usual width")
    diversity: float = knob(
        -0.2,
        "λ",
        "factor of the experts' divergence from their mean; negative to increase it; 0 trains only the mean",
        low=-10.0,
        high=10.0,
        search=(-0.6, -0.05),
        tried=(-0.45, -0.2, 0.0),
        needs=SEVERAL,
    )
    temperature: float = knob(
        1.0,
        "T",
        "temperature of the most frequent class in the diversity term",
        low=0.05,
        high=100.0,
        search=(0.5, 2.0),
        tried=(1.0, 2.0),
        needs=SEVERAL,
    )
    temperature_factor: float = knob(
        0.05,
        "f",
        "reduction of the temperatures of rare classes, from `reweight_epoch` on",
        low=0.0,
        high=0.99,
        tried=(0.015, 0.02, 0.05),
        needs=SEVERAL,
    )
    margin: float = knob(0.5, "m", "LDAM margin of the rarest class", low=0.0, high=2.0, search=(0.1, 0.8))
    scale: float = knob(30.0, "s", "factor of the cosines", low=1.0, high=200.0, search=(10.0, 60.0))
    beta: float = knob(0.9999, "β", "β of the class weights from `reweight_epoch` on", low=0.0, high=1.0)
    reweight_epoch: int = knob(
        160,
        "",
        "epoch from which classes are weighted",
        low=0,
        at_most="epochs",
        in_epochs=True,
        follows=BEFORE_THE_END,
    )
    routing_epochs: int = knob(
        5, "", "epochs of the routing stage; 0: always use all experts", low=0, high=10_000, needs=SEVERAL
    )
    routing_batch_size: int = knob(
        512, "B", "images per step in the routing stage", low=1, high=65_536, needs=SEVERAL, follows=BATCH
    )
    routing_learning_rate: float = knob(
        0.01, "lr", "peak learning rate of the routing stage", low=1e-8, high=100.0, log=True, needs=SEVERAL
    )
    routing_top: int = knob(
        5,
        "k",
        "number of highest scores that are the input of a router",
        low=1,
        at_most=_top_choices,
        tried=(30, 50),
        needs=SEVERAL,
    )
    routing_positive_weight: float = knob(
        100.0, "", "weight of images that need another expert", low=0.01, high=1e6, tried=(20.0, 100.0), needs=SEVERAL
    )

    paper_values: ClassVar[Mapping[str, Mapping[str, Value]]] = {
        "default": dict(),
        "cifar10_lt": dict(diversity=-0.45),
        "cifar100_lt": dict(diversity=-0.45, routing_top=30),
        "imagenet_lt": dict(
            epochs=100,
            batch_size=256,
            weight_decay=2e-4,
            milestones=(60, 80),
            decay=0.1,
            reweight_epoch=80,
            temperature_factor=0.02,
            routing_top=50,
        ),
        "places_lt": dict(
            BaselineKnobs.paper_values["places_lt"], reweight_epoch=24, temperature_factor=0.02, routing_top=50
        ),
        "inat18": dict(
            epochs=100,
            batch_size=512,
            learning_rate=0.2,
            weight_decay=2e-4,
            milestones=(60, 80),
            decay=0.1,
            reweight_epoch=80,
            temperature_factor=0.015,
            routing_top=50,
        ),
        "digits_lt": dict(
            BaselineKnobs.paper_values["digits_lt"], reweight_epoch=24, routing_epochs=5, routing_batch_size=32
        ),
    }

    @property
    def routes(self) -> bool:
        """Whether a stage trains routers: there are experts to choose between, and epochs for it."""
        return self.experts > 1 and self.routing_epochs > 0
