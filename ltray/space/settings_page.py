"""Every setting of a data set, a run and a search, as Markdown, from the declarations."""

from ltray.data.definition import DatasetDefinition
from ltray.knobs import Knobs
from ltray.methods.tables import FIELD_HEADINGS, field_rows, markdown_table
from ltray.run_settings import RunSettings
from ltray.space.search_settings import Finalists, Search, Stop, TrialResources

SECTIONS: tuple[tuple[str, type[Knobs], str], ...] = (
    (
        "Data set",
        DatasetDefinition,
        "A data-set file (`datasets/cifar100-lt.yaml`) has these keys at its top level. `ltray.train` and `ltray.tune` "
        "replace one with `dataset.imbalance_factor=50`.",
    ),
    (
        "Run",
        RunSettings,
        "On the command line (`seed=1`), and under `fix:` in a search-space file. Empty: the method or the data set "
        "decides.",
    ),
    (
        "search",
        Search,
        "The proposals of a search. In the file `search: {trials: 8}`, on the command line "
        "`search.trials=8`. More in [searching.md](searching.md).",
    ),
    (
        "stop",
        Stop,
        "Early stopping of trials. In the file `stop: {rule: asha}`, on the command line `stop.rule=asha`. "
        "More in [early-stopping.md](early-stopping.md).",
    ),
    ("trial", TrialResources, "The resources of a trial: `trial.workers=2`. `ltray.train` has the option `--workers`."),
    (
        "finalists",
        Finalists,
        "The settings that are trained again with new seeds after a search: `finalists.best=3`. More in "
        "[protocol.md](protocol.md).",
    ),
)
"""Heading, declarations and introduction of each part of the page."""


def markdown() -> str:
    """Return docs/settings.md."""
    lines = [
        "# Settings",
        "",
        "Written by `python -m ltray.space` from the declarations in `ltray/`. The knobs of the methods are in",
        "[methods.md](methods.md). The last column shows when a setting has an effect; a setting without an",
        "effect is an error. A search-space file also has `dataset:`, `methods:`, `explore:` (ranges), `rows:` (given",
        "settings) and `fix:` (values for all trials).",
    ]
    for heading, declared, introduction in SECTIONS:
        lines += ["", f"## {heading}", "", introduction, "", *markdown_table(FIELD_HEADINGS, field_rows(declared))]
    return "\n".join(lines) + "\n"
