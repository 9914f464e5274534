"""Completion in a shell: commands, their options, files, and the names of data sets, methods and search spaces."""

import argparse
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

import shtab

from ltray.arguments import path_argument
from ltray.data import definition
from ltray.methods import METHODS
from ltray.parser import Parser
from ltray.program import PROGRAM
from ltray.published.row_names import named_rows
from ltray.space import catalog


def script(shell: str, options: Parser, commands: Mapping[str, tuple[str, str]]) -> str:
    """Return the code with which a shell completes the arguments after `ltray`.

    Args:
        shell: A shell that shtab supports: bash, fish, zsh.
        options: The argument parser of `ltray` without a command.
        commands: The module and the summary of each command; a module has `new_parser()`.
    """
    names = {
        "dataset": [file.stem for file in sorted(definition.SHIPPED.glob("*.yaml"))],
        "method": list(METHODS),
        "methods": list(METHODS),
        "rows": list(named_rows()),
        "space": list(catalog.known()),
    }
    program = argparse.ArgumentParser(PROGRAM, parents=[options], add_help=False)
    each = program.add_subparsers()
    for name, (module, summary) in commands.items():
        declared = import_module(module).new_parser()
        _complete(declared.declared(), names)
        each.add_parser(name, parents=[declared], add_help=False, help=summary)
    return shtab.complete(program, shell)


def _complete(actions: Iterable[Any], names: Mapping[str, list[str]]) -> None:
    """Set the completion of each argument: the known names, or files if it is a path."""
    for action in actions:
        if action.dest in names:
            action.choices = names[action.dest]
        elif action.type is path_argument:
            action.complete = shtab.FILE
