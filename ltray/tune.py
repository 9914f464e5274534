"""`python -m ltray.tune SPACE.yaml`: search a method's settings on Ray, with Optuna."""

import argparse
from pathlib import Path

import torch
from rich.console import Console

from ltray.budget import Budget
from ltray.command import run
from ltray.console import new_console
from ltray.errors import UsageError
from ltray.provenance import environment
from ltray.run_folder import claim, held, read_config
from ltray.search_space import SearchSpace
from ltray.settings import parse_assignments, plain

# What a continued search may change: more trials, other resources, finalists.
MAY_DIFFER = ("trials", "trial", "finalists")


def main(words: list[str]) -> int:
    """Search, print the table, evaluate the best trial on the test set once."""
    options = _parser().parse_intermixed_args(words)
    console = new_console()
    space = SearchSpace.read(options.space, parse_assignments(options.settings))
    folder = options.output or Path("runs") / f"{options.space.stem}-{space.base.dataset.name}"
    if options.resume and read_config(folder) is None:
        raise UsageError(f"{folder}: nothing to resume: no search was begun there.")
    budget = Budget.parse(options.budget) if options.budget else None
    with held(folder):
        return _search(space, folder, budget, console)


def _search(space: SearchSpace, folder: Path, budget: Budget | None, console: Console) -> int:
    data = space.base.open_data(torch.device("cpu"))
    space = space.bind(data.tail.classes)
    console.print(data.describe(), highlight=False, markup=False)
    config = {
        **space.as_dict(),
        "search": {k: plain(v) for k, v in space.search.as_dict().items() if k != "trials"},
        "stop": {k: plain(v) for k, v in space.stop.as_dict().items()},
        "trials": space.search.trials,
        "trial": space.trial.as_dict(),
        "finalists": space.finalists.as_dict(),
    }
    stamps = environment(data_digest=data.digest, protocol=space.base.dataset.protocol)
    if claim(folder, config, stamps, may_differ=MAY_DIFFER):
        console.print(f"continues the search in {folder}", highlight=False)

    from ltray.on_ray.search import search

    return search(space, data.tail, folder, console, budget=budget)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ltray.tune",
        description="Search the settings of a method. The same command again continues an interrupted search.",
        epilog="example: python -m ltray.tune search_spaces/rescom.yaml search.trials=16 epochs=20",
    )
    parser.add_argument("space", type=Path, metavar="SPACE.yaml", help="a file of search_spaces/")
    parser.add_argument("settings", nargs="*", metavar="key=value", help="such as epochs=20 or search.trials=8")
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder (default: runs/<space>-<dataset>)")
    parser.add_argument(
        "--budget",
        metavar="B",
        help="what the search may spend in all, such as 2h or 90min (wall clock), 8gpuh or 8cpuh (summed over trials), "
        "40trials; then running trials end with their epoch, and a larger budget goes on with them",
    )
    parser.add_argument(
        "--resume", action="store_true", help="insist on continuing: fail where there is nothing to continue"
    )
    return parser


if __name__ == "__main__":
    run(main)
