"""Flat, dotted settings: `bcl.temperature=0.07`, `dataset.imbalance_factor=50`, `seed=1`."""

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from ltray.errors import UsageError, did_you_mean


def parse_assignments(words: Iterable[str]) -> dict[str, Any]:
    """Read `key=value` words of a command line; values are YAML (`1e-3`, `[160, 180]`, `true`).

    Raises:
        UsageError: A word without "=", a value that is not YAML, a key given twice.
    """
    found: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key:
            raise UsageError(f"`{word}` must have the form key=value.")
        if key in found:
            raise UsageError(f"`{key}` is given twice: {found[key]!r} and {text}.")
        try:
            found[key] = parse_numbers(yaml.safe_load(text))
        except yaml.YAMLError as error:
            raise UsageError(f"`{word}`: the value is not valid YAML.") from error
    return found


def plain(value: Any) -> Any:
    """Return `value` as a YAML file gives it back: a tuple as a list."""
    return list(value) if isinstance(value, tuple) else value


def parse_numbers(value: Any) -> Any:
    """Return `value` with the numbers where YAML 1.1 left them as text (`1e-3` lacks the dot), at any depth."""
    if isinstance(value, dict):
        return {key: parse_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [parse_numbers(item) for item in value]
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def full_key(key: str, owners: Mapping[str, Iterable[str]]) -> str:
    """Return the dotted form of a key.

    Args:
        key: `owner.name`, or a bare `name` that exactly one owner has.
        owners: The names that each owner has; the owner "" has names without a dot.

    Raises:
        UsageError: Nobody, or more than one, has the name; with the nearest right one.
    """
    dotted = [f"{owner}.{name}" if owner else name for owner, names in owners.items() for name in names]
    if key in dotted:
        return key
    matches = [name for name in dotted if name.rpartition(".")[2] == key] if "." not in key else []
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UsageError(f"`{key}` could be any of {', '.join(f'`{m}`' for m in matches)}; write one of them in full.")
    known = dotted if "." in key else dotted + [name.rpartition(".")[2] for name in dotted]
    owner = key.rpartition(".")[0]
    if owner in owners and owner:
        known = [name for name in dotted if name.startswith(f"{owner}.")]
    raise UsageError(f"`{key}` is not a setting.{did_you_mean(key, known)}")
