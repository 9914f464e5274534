"""`ltray COMMAND …`: all commands of ltray; without a command, it lists them."""

import argparse
from importlib import import_module
from typing import NoReturn

from ltray import __version__
from ltray.command import DONE, exit_with
from ltray.errors import UsageError, did_you_mean, shown
from ltray.parser import Parser
from ltray.program import PROGRAM, called

SHELLS = ("bash", "fish", "zsh")  # with completion
# For each command the module with its `main`, which is imported when it is called, because some import torch.
COMMANDS = {
    "train": ("ltray.train", "train a method, or several methods in sequence"),
    "tune": ("ltray.tune", "search the settings of a method; `ls` lists and `cp` copies search spaces"),
    "reproduce": ("ltray.reproduce", "train rows of the papers' tables, and judge the results"),
    "convert": ("ltray.convert", "write a data set's images as .beton files for FFCV"),
    "views": ("ltray.views", "draw a contact sheet of a method's training views"),
    "analyse": ("ltray.analyse", "measure the theory of the papers on a trained model"),
    "evaluate": ("ltray.evaluate", "evaluate a checkpoint on validation images, or on the test set"),
    "status": ("ltray.status", "show how far a run or a search is, and its best result"),
    "report": ("ltray.report.__main__", "write an HTML page of runs and searches"),
    "predict": ("ltray.predict", "classify image files with a trained model"),
    "export": ("ltray.export", "write a trained model as an ONNX or torch.export file"),
    "methods": ("ltray.methods.__main__", "list the methods, or the knobs of one"),
    "space": ("ltray.space.__main__", "list every setting of a data set, a run and a search"),
}


def main(arguments: list[str]) -> int:
    """Run the command in the first argument with the arguments after it."""
    if arguments and not arguments[0].startswith("-"):
        if arguments[0] not in COMMANDS:
            raise UsageError(f"{shown(arguments[0])} is not a command of ltray.{did_you_mean(arguments[0], COMMANDS)}")
        module, _ = COMMANDS[arguments[0]]
        return int(import_module(module).main(arguments[1:]))
    parser = new_parser()
    shell = parser.parse(arguments).completion
    if shell:
        from ltray.completion import script

        print(script(shell, parser, COMMANDS))
        return DONE
    print(parser.format_help(), end="")
    return DONE


def program() -> NoReturn:
    """Run `ltray`, the installed program; exit with its code.

    Raises:
        SystemExit: Always.
    """
    exit_with(main)


def new_parser() -> Parser:
    """Return the argument parser of `ltray` without a command."""
    widest = max(map(len, COMMANDS))
    lines = [f"  {name:<{widest}}  {summary}" for name, (_, summary) in COMMANDS.items()]
    parser = Parser(
        "",
        usage=f"{called()} COMMAND …",
        description="Long-tailed image recognition: train methods, search their settings.\n\ncommands:\n"
        + "\n".join(lines),
        epilog=f"`{called()} COMMAND --help` describes a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}", help="print the version")
    parser.add_argument("--completion", choices=SHELLS, help="print the code for this shell's completion of arguments")
    return parser


if __name__ == "__main__":
    program()
