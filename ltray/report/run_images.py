"""The original images of a run, if they are still on this machine."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from ltray.data.beton.presence import open_if_present
from ltray.data.decoding import decode
from ltray.data.splits import Split
from ltray.errors import UsageError
from ltray.example_views import OriginalImages
from ltray.experiment import Experiment
from ltray.files import reason
from ltray.imported import check_code
from ltray.printable import printable
from ltray.report.best_model import BestModel


class NoImages(Exception):
    """The images of a run cannot be shown; the message is a sentence for the page."""


@dataclass(frozen=True)
class RunImages:
    """The images of a model's run; nothing is downloaded, converted or classified.

    Attributes:
        model: The model.
    """

    model: BestModel

    @cached_property
    def experiment(self) -> Experiment:
        """The experiment that trained the model.

        Raises:
            NoImages: Its settings contain code that would be imported from the current folder, or are not valid.
        """
        settings = self.model.evaluation["settings"]
        try:
            check_code(settings, {}, self.model.folder)
            return Experiment.from_record(settings)
        except (UsageError, KeyError) as error:
            raise NoImages(f"The images are not shown: {error}") from error

    @cached_property
    def originals(self) -> OriginalImages:
        """The original images, divided as for the run.

        Raises:
            NoImages: They are not on this machine, or not those of the run.
        """
        definition = self.experiment.dataset
        absent = f"The images of {definition.name} are not on this machine any more, so no pictures are shown."
        try:
            source = open_if_present(definition)
            if source is None:
                raise NoImages(absent)
            found = OriginalImages.of(definition, source)
        except (UsageError, OSError) as error:
            raise NoImages(f"{absent} ({printable(reason(error))})") from error
        if found.splits.tail.counts != self.model.tail.counts or not self._same_labels(found):
            raise NoImages(f"The images of {definition.name} have changed since the run, so no pictures are shown.")
        return found

    @property
    def selection(self) -> Split:
        """The split of the saved logits: validation, or test images with `protocol: paper`.

        Raises:
            NoImages: See `originals`.
        """
        return self._selection(self.originals)

    def selected(self, position: int) -> Image.Image:
        """Return an image of the saved logits as it is stored for training.

        Args:
            position: Its row in the logits.

        Raises:
            NoImages: It cannot be read.
        """
        split, originals = self.selection, self.originals
        pool, index = originals.pools[split.pool], int(split.indices[position])
        storage = originals.definition.storage
        try:
            return Image.fromarray(storage.fit(decode(pool.read(index), longest=storage.cap).pixels))
        except (OSError, ValueError) as error:
            name = printable(pool.name(index))
            raise NoImages(f"{name} cannot be read, so no pictures are shown: {printable(reason(error))}.") from error

    def _same_labels(self, found: OriginalImages) -> bool:
        return np.array_equal(self._selection(found).labels, self.model.predictions.labels.numpy())

    def _selection(self, found: OriginalImages) -> Split:
        validation = found.splits.validation
        return found.splits.test if self.model.predictions.split == "test" or validation is None else validation
