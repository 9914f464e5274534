"""The sections of a report in their order; each returns None where a run has no content for it."""

from collections.abc import Callable

from ltray.report.best_model import BestModel
from ltray.report.section import Section
from ltray.report.sections.answer import answer
from ltray.report.sections.calibration import calibration
from ltray.report.sections.classes import classes
from ltray.report.sections.confusion import confusion
from ltray.report.sections.contour import contour
from ltray.report.sections.cost import cost
from ltray.report.sections.curves import curves
from ltray.report.sections.examples import examples
from ltray.report.sections.explored import explored
from ltray.report.sections.finalists import finalists
from ltray.report.sections.fronts import fronts
from ltray.report.sections.importance import importance
from ltray.report.sections.methods import methods
from ltray.report.sections.parallel import parallel
from ltray.report.sections.progress import progress
from ltray.report.sections.provenance import provenance
from ltray.report.sections.published import published
from ltray.report.sections.reproduce import reproduce
from ltray.report.sections.slices import slices
from ltray.report.sections.stopping import stopping
from ltray.report.sections.tau import tau
from ltray.report.sections.training_views import training_views
from ltray.report.sections.trials import trials
from ltray.results.run_record import RunRecord

OF_RECORD: tuple[Callable[[RunRecord], Section | None], ...] = (
    answer,
    published,
    progress,
    explored,
    importance,
    parallel,
    slices,
    contour,
    fronts,
    stopping,
    methods,
    finalists,
    trials,
)
"""Sections on the search and its trials."""
OF_MODEL: tuple[Callable[[BestModel], Section | None], ...] = (
    classes,
    confusion,
    calibration,
    examples,
    training_views,
    tau,
)
"""Sections on the model in `best/`."""
OF_RECORD_LAST: tuple[Callable[[RunRecord], Section | None], ...] = (
    curves,
    cost,
    provenance,
    reproduce,
)
"""Sections on the training and its circumstances."""
