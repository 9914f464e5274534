"""The cells of a table for people: our figures, the published ones, the verdict; reasons are notes below the table."""

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product

from ltray.fitted_table import FittedTable
from ltray.paper_tables.result import METRICS, QUANTITIES, RowResult
from ltray.published.check import MEANING, NOT, WITHIN
from ltray.results.intervals import Interval

NONE = "–"
NUMBERS = ("factor", "ours, %", "published, %", *METRICS, *QUANTITIES.values())
NAMES = {"mcc": "MCC", "nmi": "NMI", "ece": "ECE"}
"""Headings of the metrics whose name is an abbreviation."""
PAIRS = "ours / published"
BOTH_WAYS = "mean of our runs ± half of its 95 % interval; one run has no interval"
ALLOWED = "(± x): a difference of up to x points is not significant"


@dataclass(frozen=True)
class TableLayout:
    """A table as text.

    Attributes:
        title: Its title.
        headings: The heading of each column.
        rows: The cells of each row.
        notes: The texts of the notes, by letter.
        legend: Further lines below the table.
        optional: Headings of the columns that may be left out on a narrow terminal, in this order.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: dict[str, str] = field(default_factory=dict)
    legend: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    @classmethod
    def of(cls, title: str, results: Sequence[RowResult]) -> "TableLayout":
        """Return the table of the results of its rows."""
        notes = _Notes()
        columns = _columns(results, notes)
        rows = tuple(tuple(cell(one) for cell in columns.values()) for one in results)
        extra = tuple(heading for heading in columns if heading in (*METRICS, *NAMES.values(), *QUANTITIES.values()))
        optional = (*reversed(extra), *(heading for heading in ("epochs", "network") if heading in columns))
        return cls(title, tuple(columns), rows, notes.by_letter, tuple(_legend(results, extra)), optional)

    def terminal(self, remedy: str) -> FittedTable:
        """Return the table for the terminal.

        Args:
            remedy: How to see the columns that do not fit.
        """
        lines = [f"{letter}: {text}" for letter, text in self.notes.items()]
        shown = FittedTable(
            title=self.title,
            caption="\n".join([*lines, *self.legend]) or None,
            optional=[(heading,) for heading in self.optional],
            remedy=remedy,
        )
        for heading in self.headings:
            shown.add_column(heading, justify="right" if heading in NUMBERS else "left", no_wrap=heading in NUMBERS)
        for row in self.rows:
            shown.add_row(*row)
        return shown


class _Notes:
    """Letters of the notes, in order of appearance."""

    def __init__(self) -> None:
        self._letters: dict[str, str] = {}

    def cell(self, word: str, reasons: Sequence[str]) -> str:
        """Return the text of a cell with the letters of its reasons: "not comparable [a, b]"."""
        letters = [self._letters.setdefault(reason, _letter(len(self._letters))) for reason in reasons]
        return f"{word} [{', '.join(letters)}]" if letters else word

    @property
    def by_letter(self) -> dict[str, str]:
        return {letter: reason for reason, letter in self._letters.items()}


def _letter(index: int) -> str:
    """Return a, b, …, z, aa, ab, …."""
    single = list(string.ascii_lowercase)
    names = [*single, *("".join(pair) for pair in product(single, single))]
    return names[index]


def _columns(results: Sequence[RowResult], notes: _Notes) -> dict[str, Callable[[RowResult], str]]:
    """Return the cell of each column, by heading; columns of what is equal in all rows are left out."""
    found: dict[str, Callable[[RowResult], str]] = {"row": lambda one: one.row.label}
    varying = {"data set": _dataset, "factor": _factor, "network": _network, "epochs": _epochs}
    found |= {heading: cell for heading, cell in varying.items() if len({cell(one) for one in results}) > 1}
    found["ours, %"] = _ours
    if any(one.claim for one in results):
        found["published, %"] = lambda one: _number(one.published("all"))
    for figure in [name for name in METRICS if name != "all"]:
        if any(one.published(figure) is not None for one in results):
            found[NAMES.get(figure, figure)] = _pair(figure)
    for quantity, heading in QUANTITIES.items():
        if any(one.published(quantity) is not None for one in results):
            found[heading] = _quantity(quantity)
    found["verdict" if any(one.claim for one in results) else "state"] = lambda one: _verdict(one, notes)
    return found


def _dataset(one: RowResult) -> str:
    return one.row.dataset


def _factor(one: RowResult) -> str:
    experiment = one.row.experiment
    own = experiment.dataset.imbalance_factor if experiment else 0.0
    value = one.claim.imbalance_factor if one.claim else own
    return f"{value:g}" if value else NONE


def _network(one: RowResult) -> str:
    if one.claim:
        return one.claim.backbone
    return one.row.experiment.network.backbone if one.row.experiment else NONE


def _epochs(one: RowResult) -> str:
    return str(one.claim.epochs) if one.claim and one.claim.epochs else NONE


def _ours(one: RowResult) -> str:
    found = one.ours("all")
    return interval_text(found) if found else NONE


def interval_text(found: Interval) -> str:
    """Return a mean in percent with half of its interval: "51.2 ± 0.9"; without, for a single run."""
    mean = f"{100 * found.mean:.1f}"
    return f"{mean} ± {100 * found.half:.1f}" if found.count > 1 else mean


def _pair(figure: str) -> Callable[[RowResult], str]:
    def cell(one: RowResult) -> str:
        ours = one.ours(figure)
        return f"{f'{100 * ours.mean:.1f}' if ours else NONE} / {_number(one.published(figure))}"

    return cell


def _quantity(name: str) -> Callable[[RowResult], str]:
    return lambda one: _number(one.published(name))


def _number(value: float | None) -> str:
    """Return a published figure with its decimals, at least one: "52.0", "38.41"."""
    if value is None:
        return NONE
    return f"{value:.1f}" if round(value, 1) == value else f"{value:g}"


def _verdict(one: RowResult, notes: _Notes) -> str:
    comparison = one.comparison
    failed = [f"seed {seed}: {reason}" for seed, reason in one.failures.items()]
    if one.row.lacks:
        same = one.claim is not None and one.row.lacks.removeprefix("not in ltray: ") == one.claim.method
        return notes.cell(one.state, [] if same else [one.row.lacks.removeprefix("not in ltray: ")])
    if comparison is None:
        why = ["the source prints no figure over all images"] if one.claim and one.evaluations else []
        return notes.cell(one.state, [*failed, *why])
    part = [] if one.state == "complete" else [one.state]
    if comparison.verdict == NOT:
        return notes.cell(NOT, [*comparison.reasons, *part, *failed])
    word = f"{WITHIN} (± {comparison.allowed:.1f})" if comparison.verdict == WITHIN else comparison.verdict
    return notes.cell(word, [*filter(None, [comparison.other_knobs, comparison.basis]), *part, *failed])


def _legend(results: Sequence[RowResult], extra: Sequence[str]) -> list[str]:
    verdicts = {one.comparison.verdict for one in results if one.comparison}
    lines = [f"{verdict}: {meaning}" for verdict, meaning in MEANING.items() if verdict in verdicts]
    lines += [ALLOWED] if WITHIN in verdicts else []
    lines += [f"ours: {BOTH_WAYS}"] if any((found := one.ours("all")) and found.count > 1 for one in results) else []
    pairs = [heading for heading in extra if heading not in QUANTITIES.values()]
    lines += [f"{', '.join(pairs)}: {PAIRS}, %"] if pairs else []
    if "ms" in extra:
        lines.append("ms: published milliseconds of inference for 64 images on a GeForce RTX 2080 Ti")
    if "mCE" in extra:
        lines.append("mCE, NmCE: published corruption errors, %; smaller is better")
    return lines
