"""Trains the finalists of a search on new seeds, each run in its own folder."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ltray.checkpoints import check_newest, complete_checkpoints
from ltray.on_ray.waves import Wave, WaveRun
from ltray.results.finalists import (
    ROUNDS_BEFORE_DROPPING,
    Cell,
    Finalist,
    clear_losers,
    looks,
    read_run,
    read_runs,
    rounds,
)
from ltray.space.search_space import SearchSpace


def run_finalists(space: SearchSpace, finalists: Sequence[Finalist], folder: Path, console: Console) -> list[str]:
    """Train every finalist on its seeds; finished runs are not repeated.

    After three rounds, a finalist that is significantly worse than the leader gets no further round.
    The papers' setting always gets all rounds, because the others are compared with it.

    Args:
        space: The search space.
        finalists: The finalists.
        folder: The search's folder.
        console: Receives the lines.

    Returns:
        The reasons why runs crashed; the next call continues these runs.

    Raises:
        KeyboardInterrupt: The user interrupted the command; all finished runs are kept.
    """
    base = space.base
    order = rounds(space.finalists, seed=base.seed, data_seed=base.dataset.data_seed, used=space.trial.seeds)
    metric = space.base.metric
    alive = list(finalists)
    crashed: list[str] = []
    first = ROUNDS_BEFORE_DROPPING if space.finalists.drop_losers else len(order)
    for done in (min(first, len(order)), *range(first + 1, len(order) + 1)):
        runs = [(one, cell) for cells in order[:done] for cell in cells for one in alive]
        left = [(one, cell) for one, cell in runs if read_run(one.folder(folder, cell)) is None]
        for one, cell in left:
            check_newest(complete_checkpoints(one.folder(folder, cell)))
        if left:
            runs_left = [_wave_run(space, folder, one, cell) for one, cell in left]
            crashed += Wave(space.trial, "finalists", console).run(runs_left, of=len(finalists) * sum(map(len, order)))
        if crashed or not space.finalists.drop_losers or done == len(order):
            continue
        results = {one.key: read_runs(one, order[:done], folder) for one in alive}
        for key in clear_losers(results, order[:done], metric=metric, looks=looks(order)):
            if not next(one for one in alive if one.key == key).paper:
                alive = [one for one in alive if one.key != key]
                console.print(
                    f"finalist {key} is dropped after {done} of {len(order)} rounds: on the selection images it is "
                    "significantly worse than the best finalist",
                    soft_wrap=True,
                )
    return crashed


def _wave_run(space: SearchSpace, folder: Path, finalist: Finalist, cell: Cell) -> WaveRun:
    return WaveRun(
        f"finalist {finalist.key}, seed {cell[0]}, data seed {cell[1]}",
        finalist.run_settings(cell),
        finalist.folder(folder.resolve(), cell),
        stamps={"trial": finalist.key, "paper": finalist.paper},
        selection=space.base.selection,
    )
