"""Names of published rows, by which commands refer to them: `bcl-table3/ldam-drw/cifar100-lt/100`."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import cache

from ltray.data.definition import SHIPPED, DatasetDefinition
from ltray.data.imbalance import KINDS
from ltray.errors import UsageError, did_you_mean, shown
from ltray.published import Claim, published

USUAL_NETWORK = "resnet32"  # not part of a name
REPOSITORY = "-repository"  # at the end of a source


@cache
def named_rows() -> Mapping[str, Claim]:
    """Return every published figure by its name, in the order of the files.

    A name consists of the source with its table, the method as printed, the data set, the imbalance factor if the data
    set is cut by a factor, and the network unless it is ResNet-32. Rows of a table that share all of this are
    distinguished by their epochs, their settings or, finally, their number.
    """
    return named(published())


def find_row(name: str) -> Claim:
    """Return the published figure of a name.

    Raises:
        UsageError: There is none; the message contains the nearest name.
    """
    rows = named_rows()
    if name in rows:
        return rows[name]
    nearest = did_you_mean(name, rows)
    hint = nearest if nearest.startswith(" Did") else " List the names with --list."
    raise UsageError(f"{shown(name)} is not the name of a published row.{hint}")


def named(claims: Iterable[Claim]) -> dict[str, Claim]:
    """Return figures by name; see `named_rows`."""
    rows = [(_common(claim), claim) for claim in claims]
    for part in (_epochs, _values):
        rows = _distinguished(rows, part)
    count: defaultdict[str, int] = defaultdict(int)
    found = {}
    for name, claim in rows:
        count[name] += 1
        found[name if count[name] == 1 else f"{name}/{count[name]}"] = claim
    return found


def source_of(claim: Claim) -> str:
    """Return the first part of a row's name, its source with the table: "bcl-table3"."""
    source = re.split(r"[+\s]", claim.source)[0].removesuffix(REPOSITORY)
    table = claim.table.lower().removeprefix("table ")
    numbered = re.fullmatch(r"s?\d+", table)
    return f"{_word(source)}-{'table' if numbered else ''}{table.upper() if table[0] == 's' else _word(table)}"


def _common(claim: Claim) -> str:
    parts = [source_of(claim), _word(claim.method), claim.dataset]
    if _is_cut_by_factor(claim.dataset):
        parts.append(f"{claim.imbalance_factor:g}")
    if claim.network != USUAL_NETWORK:
        parts.append(_word(claim.backbone))
    return "/".join(parts)


def _distinguished(rows: list[tuple[str, Claim]], part: Callable[[Claim], str]) -> list[tuple[str, Claim]]:
    """Return the rows, with a further part in the names of those rows that share a name and differ in this part."""
    parts: defaultdict[str, set[str]] = defaultdict(set)
    for name, claim in rows:
        parts[name].add(part(claim))
    return [(f"{name}/{part(claim)}" if len(parts[name]) > 1 else name, claim) for name, claim in rows]


def _epochs(claim: Claim) -> str:
    return f"{claim.epochs}-epochs" if claim.epochs else "epochs-not-stated"


def _values(claim: Claim) -> str:
    return "-".join(_word(str(value)) for value in claim.settings.values()) or "default"


def _word(text: str) -> str:
    """Return a text in lower case with a hyphen in place of every run of other characters: "ride-3-experts"."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-")


@cache
def _is_cut_by_factor(dataset: str) -> bool:
    file = SHIPPED / f"{dataset}.yaml"
    return file.is_file() and KINDS[DatasetDefinition.read(file).imbalance_kind].by_factor
