"""The arguments of `ltray tune`: the parser, the words that a folder records, and the command that began a folder."""

import os
from argparse import Namespace
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import yaml

from ltray.arguments import count_argument, name_or_path, path_argument
from ltray.errors import UsageError
from ltray.files import reading
from ltray.parser import Parser
from ltray.program import called
from ltray.results.next_steps import COMMAND
from ltray.run_folder import RunFolder
from ltray.settings import parse_assignments, plain
from ltray.space.space_file import TABLE
from ltray.table_command import DIRECTORY


def new_parser() -> Parser:
    """Return the command's argument parser."""
    parser = Parser(
        "tune",
        description="Search the settings of a method. Run the same command again to continue an interrupted search. "
        "`ls` lists the search spaces of ltray, `cp NAME [TARGET]` copies one for editing.",
        epilog="example: python -m ltray.tune rescom search.trials=16 epochs=20",
    )
    what = f"a file, a name of `{called('tune ls')}`, or the folder of a search, which is continued"
    parser.add_argument("space", type=name_or_path, metavar="SPACE", help=what)
    parser.add_settings("such as epochs=20 or search.trials=8")
    parser.add_argument(
        "--from", dest="start", type=path_argument, metavar="RUN", help="run or checkpoint from which to continue"
    )
    parser.add_argument("--output", type=path_argument, metavar="DIR", help="folder (default: runs/<space>-<dataset>)")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="check the settings; print the space, hours and disk use; run and write nothing",
    )
    parser.add_argument(
        "--budget",
        metavar="B",
        help="limit of the search: 2h or 90min (wall clock), 8gpuh or 8cpuh (sum over trials), or 40trials; "
        "running trials then stop at the end of their epoch, and a larger budget continues them",
    )
    parser.add_argument("--seeds", type=count_argument, metavar="N", help="runs of each row of a table (default: 1)")
    parser.add_argument(
        "--rows", nargs="+", metavar="PATTERN", help="rows of a table to train, such as '*cifar10-lt*' (default: all)"
    )
    parser.add_argument("--resume", action="store_true", help="fail if there is nothing to continue")
    return parser


def as_begun(folder: Path, options: Namespace, given: Mapping[str, Any]) -> tuple[Namespace, dict[str, Any]]:
    """Return the options and settings of the command that began the search in a run folder, with those given now.

    The working directory becomes that of the command, because its paths may be relative.

    Raises:
        UsageError: The folder contains no search, or a search of a version that did not record its command.
    """
    for option, value in (("--output", options.output), ("--from", options.start)):
        if value:
            raise UsageError(f"{option}: not with the folder of a search, which is continued as it began.")
    config = RunFolder(folder).config()
    if config is None or not {"search", TABLE} & config.keys():
        raise UsageError(f"{folder}: not the folder of a search; give a search-space file, or a name of `tune ls`.")
    if DIRECTORY not in config:
        raise UsageError(
            f"{folder}: was begun by an earlier version of ltray, which did not record the command; run that command "
            "again to continue."
        )
    words = config[COMMAND]
    begun = new_parser().parse(words[1 + next(i for i, word in enumerate(words) if word in ("tune", "ltray.tune")) :])
    begun.output, begun.resume = folder.resolve(), True
    begun.budget, begun.dry_run = options.budget, options.dry_run
    begun.seeds, begun.rows = options.seeds or begun.seeds, options.rows or begun.rows
    with reading(Path(config[DIRECTORY]), "is the directory in which the search was begun, and cannot be used"):
        os.chdir(config[DIRECTORY])
    return begun, parse_assignments(begun.settings) | dict(given)


def command_words(
    name: str | PathLike[str],
    given: Mapping[str, Any],
    *,
    start: str | PathLike[str] | None,
    output: str | PathLike[str] | None,
) -> list[str]:
    """Return the arguments of the command that started the search, without its budget, for further commands."""
    arguments = [*called("tune").split(), str(name)]
    for key, value in given.items():
        structured = isinstance(value, list | tuple | dict)
        text = yaml.safe_dump(plain(value), default_flow_style=True, width=10_000).strip() if structured else str(value)
        arguments.append(f"{key}={text}")
    arguments += ["--from", str(start)] if start else []
    return arguments + (["--output", str(output)] if output is not None else [])
