"""Flat, dotted settings: `bcl.temperature=0.07`, `dataset.imbalance_factor=50`, `seed=1`."""

from collections.abc import Iterable, Mapping
from typing import Any

from ltray.errors import SHOWN, UsageError, did_you_mean, shown
from ltray.imported import is_dotted_path
from ltray.yaml_scalars import NotPlainYaml, scalar

FORMER: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "frozen": (
        "train",
        {"nothing": "all", "backbone": "head", "early_convolutions": "norms_and_last_block"},
    )
}
"""Settings of earlier versions: the current name, and the current value for each former value."""

_STRUCTURED = ("[", "{", '"', "'")


def parse_assignments(arguments: Iterable[str]) -> dict[str, Any]:
    """Read the `key=value` arguments of a command line.

    A value that begins with a bracket or a quote is YAML (`[160, 180]`, `{from: 0.1, to: 0.2}`); any other value is
    text, used completely: `folder=/data/my #1 photos`.

    Raises:
        UsageError: An argument has no "=", a value is not valid YAML, or a key is given twice.
    """
    found: dict[str, Any] = {}
    for argument in arguments:
        key, equals, text = argument.partition("=")
        if not equals or not key:
            raise UsageError(f"{shown(argument)} must have the form key=value.")
        if key in found:
            raise UsageError(f"`{key}` is given twice: {shown(found[key])} and {shown(text)}; keep one of them.")
        found[key] = _value(argument, text)
    return found


def _value(argument: str, text: str) -> Any:
    if not text.lstrip().startswith(_STRUCTURED):
        meant = scalar(text.strip())
        return text if isinstance(meant, str) else meant
    from ltray.yaml_text import parse  # imported here: training does not need PyYAML

    try:
        return parse(text).value
    except NotPlainYaml as error:
        raise UsageError(f"{shown(argument)}: the value is not valid YAML: {error}.") from error


def plain(value: Any) -> Any:
    """Return a value in the form in which a YAML file is read: a tuple becomes a list."""
    return list(value) if isinstance(value, tuple) else value


def present_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a run of any version with their current names.

    Raises:
        UsageError: A former setting has an illegal value, or is given in addition to its current name.
    """
    found = dict(settings)
    for former, (name, values) in FORMER.items():
        if former not in found:
            continue
        value = found.pop(former)
        if name in found or (value not in values and value != ""):
            raise UsageError(
                f"`{former}` is now called `{name}` and could be {', '.join(values)}, but got {shown(value)}"
                f"{f' in addition to `{name}`' if name in found else ''}: write `{name}`."
            )
        found |= {name: values.get(value, value), "bottleneck": 0}
    return found


def method_names(settings: Mapping[str, Any]) -> list[str]:
    """Return the names of a run's methods, in order, without importing those of other packages.

    Args:
        settings: Complete flat settings: every method has knobs in them, `<name>.<knob>`, in the methods' order.
    """
    references = settings["methods"]
    owners = dict.fromkeys(key.partition(".")[0] for key in settings if "." in key)
    others = (owner for owner in owners if owner != "dataset" and owner not in references)
    return [next(others, reference) if is_dotted_path(reference) else reference for reference in references]


def full_key(key: str, owners: Mapping[str, Iterable[str]]) -> str:
    """Return the dotted form of a key.

    Args:
        key: `owner.name`, or a bare `name` that exactly one owner has.
        owners: The names that each owner has; the owner "" has names without a dot.

    Raises:
        UsageError: No owner or several owners have the name; the message contains the nearest valid name.
    """
    dotted = [f"{owner}.{name}" if owner else name for owner, names in owners.items() for name in names]
    if key in dotted:
        return key
    matches = [name for name in dotted if name.rpartition(".")[2] == key] if "." not in key else []
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UsageError(f"`{key}` could be any of {', '.join(f'`{m}`' for m in matches)}; write the full name.")
    if key in FORMER:
        name, values = FORMER[key]
        assignments = ", ".join(f"{name}={now} for {key}={then}" for then, now in values.items())
        raise UsageError(f"`{key}` is now called `{name}`: write {assignments}.")
    known = dotted if "." in key else dotted + [name.rpartition(".")[2] for name in dotted]
    owner = key.rpartition(".")[0]
    if owner in owners and owner:
        known = [name for name in dotted if name.startswith(f"{owner}.")]
    raise UsageError(f"`{key[:SHOWN]}` is not a setting.{did_you_mean(key, known)}")


def full_keys(given: Mapping[str, Any], owners: Mapping[str, Iterable[str]]) -> dict[str, Any]:
    """Return settings with every key in its dotted form.

    Raises:
        UsageError: A key is unknown, or two keys are the same setting (`temperature` and `bcl.temperature`).
    """
    written: dict[str, str] = {}
    for key in given:
        note_once(written, full_key(key, owners), key)
    return {full: given[key] for full, key in written.items()}


def note_once(written: dict[str, str], full: str, key: str, where: str = "") -> None:
    """Record the key with which a setting was written.

    Args:
        written: Receives the key, by the setting's full name.
        full: The setting's full name.
        key: The key in the file or on the command line.
        where: "file:line: " of the key, for messages.

    Raises:
        UsageError: It was already written, with this or another key.
    """
    if full in written:
        raise UsageError(f"{where}`{full}` is given twice, as `{written[full]}` and as `{key}`; keep one of them.")
    written[full] = key


def take_owned(given: dict[str, Any], owner: str) -> dict[str, Any]:
    """Remove the settings `<owner>.<name>` from flat settings and return them by name."""
    keys = [key for key in given if key.startswith(f"{owner}.")]
    return {key[len(owner) + 1 :]: given.pop(key) for key in keys}
