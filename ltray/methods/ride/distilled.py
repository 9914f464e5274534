"""RIDE distilled from the preceding network, usually a RIDE with six experts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from ltray.knobs import Value, knob
from ltray.methods.ride.knobs import RIDEKnobs
from ltray.methods.ride.losses import distillation
from ltray.methods.ride.method import RIDE, Routing
from ltray.stage import Batch, BuildContext, Losses, Method, Stage


@dataclass(frozen=True)
class RIDEDistilledKnobs(RIDEKnobs):
    """RIDE's knobs, and the weight of the distillation."""

    distillation: float = knob(
        1.0, "", "weight of the distillation", low=0.0, high=100.0, search=(0.2, 2.0), tried=(1.0,)
    )
    distillation_temperature: float = knob(
        1.5, "T", "temperature of the distillation", low=0.05, high=100.0, search=(1.0, 4.0), tried=(1.5,)
    )

    paper_values: ClassVar[Mapping[str, Mapping[str, Value]]] = RIDEKnobs.paper_values


class RIDEDistilled(RIDE):
    """RIDE's terms and the teacher's; both count once per expert, as in the official loop."""

    def __init__(self, knobs: RIDEDistilledKnobs, context: BuildContext) -> None:
        super().__init__(knobs, context)
        self.teacher = context.continued()
        self.strength = knobs.distillation
        self.softness = knobs.distillation_temperature

    def trained(self) -> Sequence[nn.Module]:
        """Train the student."""
        return [self.network]

    def forward(self, batch: Batch) -> Losses:
        """Return the classification, diversity and distillation terms."""
        with torch.no_grad():
            teacher = self.teacher(batch["image"])
        scores = self.expert_scores(batch["image"])
        terms = self.terms(scores, batch.labels)
        terms["distillation"] = self.strength * distillation(scores.mean(dim=0), teacher, self.softness)
        return {name: self.knobs.experts * value for name, value in terms.items()}


def _stages(knobs: RIDEDistilledKnobs, context: BuildContext) -> Sequence[Stage]:
    first = RIDEDistilled(knobs, context)
    return [first, Routing(knobs, first)] if knobs.routes else [first]


METHOD = Method(
    name="ride_distilled",
    paper="Wang et al., Long-Tailed Recognition by Routing Diverse Distribution-Aware Experts, ICLR 2021 "
    "(arXiv:2010.01809), with distillation",
    knobs=RIDEDistilledKnobs,
    stages=_stages,
    needs_network=True,
    distils=True,
)
