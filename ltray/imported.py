"""Objects of other packages, by their dotted path: `mypackage.gcl:METHOD`.

This is the only way in which code from outside ltray is found. Only the module of a path is imported, from where Python
finds modules: installed packages and the folders in PYTHONPATH. Worker processes import it again.
"""

import importlib
import importlib.machinery
import os
import pkgutil
import shlex
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from ltray.errors import UsageError, did_you_mean, shown
from ltray.files import reason
from ltray.printable import printable

COLON = ":"
EXAMPLE = "mypackage.mymodule:NAME"


def is_dotted_path(name: object) -> bool:
    """Return whether a setting's value is a dotted path instead of one of ltray's choices."""
    return isinstance(name, str) and COLON in name


def nearest_or_dotted_path(name: object, known: Iterable[str], kind: str) -> str:
    """Return a sentence for the error about an unknown name: the nearest known name, or the form of a dotted path.

    Args:
        name: The user's text.
        known: All valid names.
        kind: The kind of object, at the beginning of a sentence: "A method".
    """
    if isinstance(name, str) and "." in name:
        return f" {kind} of another package is given by its dotted path, such as `{EXAMPLE}`."
    return did_you_mean(str(name), known)


def imported(path: str, fits: Callable[[Any], bool], kind: str) -> Any:
    """Import the object of a dotted path.

    Args:
        path: `module:name`, such as "mypackage.gcl:METHOD".
        fits: Returns whether an object is of the required kind.
        kind: The required kind, for messages: "a ltray.Method".

    Raises:
        UsageError: The path is not a dotted path, the module or name does not exist, the module cannot be imported, or
            the object is of another kind.
    """
    module_name, _, name = path.partition(COLON)
    _check_form(path, module_name, name)
    module = _module(path, module_name)
    usable = [known for known, value in vars(module).items() if not known.startswith("_") and fits(value)]
    if not hasattr(module, name):
        raise UsageError(f"{shown(path)}: the module `{module_name}` has no `{name}`.{did_you_mean(name, usable)}")
    found = getattr(module, name)
    if not fits(found):
        raise UsageError(f"{shown(path)}: is {_described(found)}, but must be {kind}.{did_you_mean(name, usable)}")
    return found


def check_not_from_current_folder(settings: Any, where: object) -> None:
    """Check, before the settings of a run folder are used, where Python would find the modules in them.

    The author of the folder chose these names. `python -m` and interactive sessions search modules first in the current
    folder, which may contain a downloaded file. Therefore a module from there is an error, unless the folder is in
    PYTHONPATH, its package is installed, or the program has already imported it.

    Args:
        settings: The settings, or any nested mappings and lists that contain them.
        where: The run folder, for the message.

    Raises:
        UsageError: The module of a dotted path would be imported from the current folder.
    """
    if isinstance(settings, Mapping):
        settings = list(settings.values())
    if isinstance(settings, list | tuple):
        for value in settings:
            check_not_from_current_folder(value, where)
    elif is_dotted_path(settings) and all(part.isidentifier() for part in settings.partition(COLON)[0].split(".")):
        package = settings.partition(COLON)[0].partition(".")[0]
        if package not in sys.modules and _only_in_current_folder(package):
            here = shlex.quote(os.getcwd())
            raise UsageError(
                f"{printable(str(where))}: its settings contain {shown(settings)}, and Python would import `{package}` "
                f"from the current folder. If you trust this code, allow it: export PYTHONPATH={here}"
            )


def check_code(settings: Mapping[str, Any], context: Mapping[str, Any], where: object) -> None:
    """Check the settings of a checkpoint and of those from which it continues; see `check_not_from_current_folder`.

    Args:
        settings: The settings of its run.
        context: The context of the checkpoint; its entry `start` has settings and context of the one from which it
            continues.
        where: Its folder, for the message.

    Raises:
        UsageError: The module of a dotted path would be imported from the current folder.
    """
    check_not_from_current_folder(settings, where)
    if origin := context.get("start"):
        check_code(origin["settings"], origin["context"], where)


def _only_in_current_folder(package: str) -> bool:
    """Return whether Python finds a package first in the current folder, and only because it always searches there."""
    implied = ["", os.curdir]
    first = sys.path[:1] if not sys.flags.safe_path and _same(sys.path[0] if sys.path else None, os.getcwd()) else []
    others = [place for number, place in enumerate(sys.path) if place not in implied and (number or not first)]
    usual, other = (importlib.machinery.PathFinder.find_spec(package, places) for places in (sys.path, others))
    return usual is not None and _places(usual) != _places(other)


def _places(spec: ModuleSpec | None) -> list[str]:
    if spec is None:
        return []
    places = list(spec.submodule_search_locations or ()) + ([spec.origin] if spec.origin else [])
    return [os.path.realpath(place) for place in places]


def _same(place: str | None, folder: str) -> bool:
    return place is not None and os.path.realpath(place) == os.path.realpath(folder)


def _check_form(path: str, module: str, name: str) -> None:
    if module.endswith(".py") or "/" in module:
        raise UsageError(
            f"{shown(path)}: is a file; write the module as in an import statement, such as `{EXAMPLE}`, and add "
            "the folder that contains its package to PYTHONPATH."
        )
    if not name.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise UsageError(f"{shown(path)}: is not a dotted path; write module:name, such as `{EXAMPLE}`.")
    if module == "__main__":
        raise UsageError(
            f"{shown(path)}: `__main__` is the running program, which worker processes cannot import; move the object "
            "to a module."
        )


def _module(path: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):
            raise UsageError(f"{shown(path)}: {_missing(error.name)}") from error
        raise UsageError(f"{shown(path)}: {_failed(name, error)}") from error
    except (Exception, SystemExit) as error:  # a module of another package may raise any exception
        raise UsageError(f"{shown(path)}: {_failed(name, error)}") from error


def _missing(name: str) -> str:
    """Return the sentence about a module that Python does not find."""
    package, _, last = name.rpartition(".")
    if not package:
        return (
            f"Python finds no module `{name}`; install its package in the environment of ltray, or add the folder that "
            "contains it to PYTHONPATH (on a cluster: on every node)."
        )
    inside = getattr(sys.modules.get(package), "__path__", None)
    if inside is None:
        return f"`{package}` is a module, not a package: it has no `{last}`."
    return f"the package `{package}` has no module `{last}`.{did_you_mean(last, _names(inside))}"


def _names(places: Iterable[str]) -> list[str]:
    return [module.name for module in pkgutil.iter_modules(places)]


def _failed(name: str, error: BaseException) -> str:
    """Return the sentence about a module whose import fails."""
    if isinstance(error, SyntaxError):
        place = f" ({printable(str(error.filename))}, line {error.lineno})"
        return f"importing `{name}` failed: {type(error).__name__}: {error.msg}{place}."
    last = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"importing `{name}` failed: {type(error).__name__}: {reason(error)} ({printable(last.filename)}, line "
        f"{last.lineno})."
    )


def _described(found: object) -> str:
    if isinstance(found, type):
        return f"the class `{found.__name__}`"
    if isinstance(found, ModuleType):
        return f"the module `{found.__name__}`"
    return f"an object of the type `{type(found).__name__}`"
