"""Whether a published row can be trained on this machine, and whether its result can be judged."""

from dataclasses import dataclass

from ltray.data.beton.presence import open_if_present
from ltray.data.beton.store import folder_of, is_complete
from ltray.data.definition import SHIPPED, DatasetDefinition
from ltray.errors import UsageError
from ltray.program import called
from ltray.published import Claim
from ltray.published.departures import other_row
from ltray.reproduction.row import PublishedRow


@dataclass(frozen=True)
class Availability:
    """What is missing for a row.

    Attributes:
        lacking: Parts of the row that are not in ltray, or a wrong setting, as text; it cannot be trained.
        missing: Data or weights that are not on this machine, as text; "" if there are none.
        unjudged: Why a result of it cannot be compared with the published figure; "" if it can.
    """

    lacking: str = ""
    missing: str = ""
    unjudged: str = ""

    @property
    def runnable(self) -> bool:
        """Whether it can be trained here without a download."""
        return not self.lacking and not self.missing

    @property
    def reason(self) -> str:
        """What is missing, or why its result cannot be judged; "" if nothing is missing."""
        if self.runnable and self.unjudged:
            return f"not comparable: {self.unjudged}"
        return self.lacking or self.missing


def check_trainable(row: PublishedRow) -> None:
    """Check that ltray can train a row, as far as this can be determined without its data.

    Raises:
        UsageError: It cannot; the message contains the reason.
    """
    if lacking := lacking_parts(row.claim):
        raise UsageError(f"{row.name}: cannot be trained: {lacking}.")
    _ = row.experiment


class MachineCheck:
    """Whether rows can be trained on this machine; the data of each data set are searched once."""

    def __init__(self) -> None:
        self._definitions: dict[str, DatasetDefinition] = {}
        self._missing: dict[DatasetDefinition, str] = {}

    def of(self, row: PublishedRow) -> Availability:
        """Return what is missing for a row; nothing is downloaded or converted."""
        if lacking := lacking_parts(row.claim):
            return Availability(lacking)
        try:
            if missing := self._missing_data(row.experiment.dataset if row.overrides else self._definition(row)):
                return Availability(missing=missing)
            experiment = row.experiment
        except UsageError as error:
            return Availability(_clause(str(error)))
        missing = "" if experiment.network.weights_are_here else _missing_weights(row)
        reasons = other_row(row.claim, experiment.settings(), subsets=1)
        if row.claim.all is None:
            reasons.append("the source has no figure over all classes")
        return Availability(missing=missing, unjudged="; ".join(reasons))

    def _definition(self, row: PublishedRow) -> DatasetDefinition:
        name = row.claim.dataset
        if name not in self._definitions:
            self._definitions[name] = DatasetDefinition.read(name)
        return self._definitions[name]

    def _missing_data(self, definition: DatasetDefinition) -> str:
        if definition not in self._missing:
            self._missing[definition] = _missing_data(definition)
        return self._missing[definition]


def lacking_parts(claim: Claim) -> str:
    """Return the parts of a row that are not in ltray, as text; "" if it can be trained."""
    if not claim.methods:
        return f"not in ltray: {claim.lacks}"
    if not (SHIPPED / f"{claim.dataset}.yaml").is_file():
        return f"not in ltray: the data set {claim.dataset}"
    if claim.network is None:
        return f"not in ltray: the network ({claim.backbone})"
    if claim.variant:
        return f"a variant that is not in ltray: {claim.variant}"
    return f"other training images than those of ltray: {claim.subset}" if claim.subset else ""


def _missing_data(definition: DatasetDefinition) -> str:
    try:
        if is_complete(folder_of(definition)) or open_if_present(definition) is not None:
            return ""
    except UsageError as error:
        return _clause(str(error))
    if definition.source.startswith("cifar"):
        return f"{definition.name} is not on this machine; it is downloaded at the start, or by {called('convert')}"
    return f"{definition.name} is not on this machine; add dataset.folder=… (the folder of its images)"


def _missing_weights(row: PublishedRow) -> str:
    network = row.experiment.network
    named = network.backbone if network.weights in network.backbone else f"{network.backbone} ({network.weights})"
    return f"the weights of {named} are not on this machine; they are downloaded at the start"


def _clause(sentence: str) -> str:
    return sentence.rstrip(".")
