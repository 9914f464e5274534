"""A method by its name, or by its dotted path in another package."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from ltray.errors import UsageError, shown
from ltray.imported import imported, is_dotted_path, nearest_or_dotted_path
from ltray.methods import METHODS
from ltray.recipe import Recipe
from ltray.stage import Method

RESERVED = ("dataset", "methods", "explore", "rows", "fix", "search", "stop", "trial", "finalists")
"""Prefixes of the keys of settings and search spaces, in addition to the names of methods."""


def find_method(reference: Any) -> Method:
    """Return a method.

    Args:
        reference: Its name in `METHODS`, or its dotted path in another package: "mypackage.gcl:METHOD". Keys and
            results contain its `name` in both cases: `gcl.temperature=0.1`.

    Raises:
        UsageError: No method has this name, or the path cannot be imported, names no `Method`, or names one that
            cannot be used.
    """
    if is_dotted_path(reference):
        return _of_another_package(reference)
    if not isinstance(reference, str) or reference not in METHODS:
        hint = nearest_or_dotted_path(reference, METHODS, "A method")
        raise UsageError(f"`{shown(reference)[1:-1]}` is not a method.{hint}")
    return METHODS[reference]


def find_methods(references: Iterable[Any]) -> tuple[Method, ...]:
    """Return methods in the order of their names or dotted paths.

    Raises:
        UsageError: One cannot be found, or two have the same name, which keys and results would share.
    """
    methods = tuple(map(find_method, references))
    found: dict[str, Method] = {}
    for method in methods:
        other = found.setdefault(method.name, method)
        if other.reference != method.reference:
            raise UsageError(
                f"`{other.reference}` and `{method.reference}` are both named `{method.name}`, so that keys such as "
                f"`{method.name}.epochs` could mean either; rename one of them, or leave it out."
            )
    return methods


def methods_by_name(references: Iterable[Any]) -> dict[str, Method]:
    """Return methods by their names; see `find_methods`."""
    return {method.name: method for method in find_methods(references)}


def _of_another_package(path: str) -> Method:
    method: Method = imported(path, lambda found: isinstance(found, Method), "a ltray.Method")
    if METHODS.get(method.name) is method:
        return method  # the path of one of ltray's own
    _check_usable(path, method)
    return replace(method, path=path)


def _check_usable(path: str, method: Method) -> None:
    if not isinstance(method.name, str) or not method.name.isidentifier():
        raise UsageError(
            f"{shown(path)}: the method's name is {shown(method.name)}, but keys such as `name.epochs` need letters, "
            "digits and underscores."
        )
    if method.name in METHODS:
        raise UsageError(f"{shown(path)}: the method is named `{method.name}`, as one of ltray's own; rename it.")
    if method.name in RESERVED:
        raise UsageError(f"{shown(path)}: the method is named `{method.name}`, a part of the settings; rename it.")
    if not isinstance(method.knobs, type) or not issubclass(method.knobs, Recipe):
        raise UsageError(
            f"{shown(path)}: `knobs` of the method must be a subclass of ltray.recipe.Recipe, but is "
            f"{shown(method.knobs)}."
        )


def check_sequence(methods: Sequence[Method]) -> None:
    """Raise an error for methods whose training the next method would not use.

    Raises:
        UsageError: There is no method, or a method that trains a new network is after another method.
    """
    if not methods:
        raise UsageError("`methods` must contain at least one method.")
    for before, method in pairwise(methods):
        if not method.needs_network:
            raise UsageError(
                f"`{method.name}` trains a new network, so `{before.name}` before it has no effect: remove one of them."
            )
