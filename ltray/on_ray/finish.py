"""The end of a search: its tables, finalists, best model and report."""

from pathlib import Path
from typing import Any

import optuna
from rich.console import Console

from ltray.checkpoints import complete_best
from ltray.command import DONE, FAILED, INTERRUPTED
from ltray.metrics import CHECKPOINT_SCORE
from ltray.network_config import WEIGHTS
from ltray.on_ray import cluster
from ltray.on_ray.final_evaluation import evaluate_where_trained
from ltray.on_ray.finalists import run_finalists
from ltray.on_ray.trial import checkpoints
from ltray.pretraining import columns, recorded, seen_before
from ltray.published.of_run import claims_of
from ltray.published.table import claim_table
from ltray.report.render import write_report
from ltray.results.final_evaluation import accuracy_line
from ltray.results.finalist_table import render_finalists, write_finalists
from ltray.results.finalists import choose
from ltray.results.importance_table import print_importance
from ltray.results.ledger import LOOK, declare_end_of, describe_look, number_of
from ltray.results.paths import dashboard_command, report_command, tensorboard_command
from ltray.results.printed_trials import BEST_SHOWN, render
from ltray.results.run_record import RunRecord
from ltray.results.tables import FOLDS, history, trial_table, write_table
from ltray.results.verdict import print_verdict, write_verdict
from ltray.run_folder import RunFolder, attempts, trial_name
from ltray.space.search_space import SearchSpace
from ltray.study.progress import TrialProgress
from ltray.study.study import PROGRESS, leader, own_trials


def conclude(space: SearchSpace, study: optuna.Study, folder: Path, *, console: Console, done: bool) -> int:
    """Compare the finalists, or evaluate the best trial, and print where the results are.

    Args:
        space: The search space.
        study: Its study, with a complete trial.
        folder: The run folder.
        console: Receives the lines.
        done: Whether all trials of the search have ended; finalists are trained only then.

    Returns:
        The exit code.
    """
    run = RunFolder(folder)
    code = DONE
    try:
        if space.finalists.best and done:
            code = _compare_finalists(space, study, folder, console)
        else:
            _evaluate_best(space, study, folder, console)
    except KeyboardInterrupt:
        console.print(f"interrupted; run the same command again to continue in {folder}")
        return INTERRUPTED
    record = RunRecord.read(folder)
    if verdict := write_verdict(record):
        print_verdict(verdict, console)
    claims = claims_of(record)
    if claims:
        console.print(claim_table(claims))
    console.print(
        f"report: {write_report([record], run.report_file)}   best model: {run.best.path}\n"
        f"table: {run.results_table.with_suffix('.csv')}\n"
        f"curves: {tensorboard_command(folder)}   study: {dashboard_command(folder)}",
        soft_wrap=True,
    )
    return code


def write_tables(space: SearchSpace, study: optuna.Study, folder: Path, console: Console) -> bool:
    """Write the tables and the report, print the trials; return whether any is complete."""
    run = RunFolder(folder)
    trials = [trial.number for trial in own_trials(study)]
    epochs = history({number: attempts(run.trials, number) for number in trials})
    stamps = {
        "seed": space.base.seed,
        "data_seed": space.base.dataset.data_seed,
        "protocol": space.base.dataset.protocol,
        "fidelity": space.stop.fidelity_label,
    }
    if folds := space.base.dataset.folds:
        stamps[FOLDS] = folds
    selection = space.base.selection
    table = trial_table(study, epochs, stamps, selection=selection, weights=_weights(space, study, run))
    write_table(epochs, run.epochs_table)
    write_table(table, run.results_table)
    write_table(table, run.results_table.with_suffix(".csv"))
    if f"{selection}/acc_all" in table:
        most = len(space.rows) or BEST_SHOWN
        how: dict[str, Any] = {"selection": selection, "most": most, "objective": space.base.objective}
        remedy = f"`{report_command(folder)} --wide` shows all"
        console.print(render(table, space.headings(), **how, remedy=remedy))
        if space.dimensions:
            print_importance(table, space, folder, console)
    record = RunRecord.read(folder)
    write_verdict(record)
    write_report([record], run.report_file)
    return leader(study) is not None


def _weights(space: SearchSpace, study: optuna.Study, run: RunFolder) -> dict[int, dict[str, Any]]:
    """Return the columns of the initial pretrained weights of each trial, by its number."""
    known = run.environment()
    networks = {t.number: space.network_of(t.params) for t in study.get_trials(deepcopy=False)}
    return {number: columns(recorded(known, network)) for number, network in networks.items()}


def _evaluate_best(space: SearchSpace, study: optuna.Study, folder: Path, console: Console) -> None:
    """Evaluate the best complete trial's best checkpoint on the test set, once."""
    run = RunFolder(folder)
    best = leader(study)
    assert best is not None, "a trial is complete"
    number = best.number
    known = run.best.evaluation()
    if known is None or known.get("trial") != number:
        reached = TrialProgress.read(best.user_attrs.get(PROGRESS))
        checkpoint = complete_best(
            run.trials / trial_name(number),
            checkpoints(run.trials, number),
            [{CHECKPOINT_SCORE: reached.score, "total_epochs": reached.best_epoch}],
        )
        assert checkpoint is not None, f"trial {number} is complete"
        cluster.connect()
        resources = cluster.worker_resources(space.trial)
        look = declare_end_of(folder, space.base, f"trial {number}, epoch {reached.best_epoch}")
        known = evaluate_where_trained(folder, checkpoint, resources, stamps={"trial": number, LOOK: look})
    accuracy = accuracy_line(known["metrics"], "test", space.base.objective)
    console.print(f"test accuracy of trial {number} ({describe_look(number_of(known))}): {accuracy}", soft_wrap=True)
    if note := seen_before(space.base.settings(), known.get(WEIGHTS, {})):
        console.print(note, soft_wrap=True)


def _compare_finalists(space: SearchSpace, study: optuna.Study, folder: Path, console: Console) -> int:
    """Train the finalists, write and print their tables, copy the winner's best run to `best/`."""
    finalists = choose(study, space)
    names = ", ".join(one.key for one in finalists)
    asked = space.finalists
    declared = f"finalists {names}, each on {asked.seeds} training seeds and {asked.data_seeds} data seeds"
    look = declare_end_of(folder, space.base, declared)
    crashed = run_finalists(space, finalists, folder, console)
    table = write_finalists(space, finalists, folder, look=look)
    if table is None:
        console.print("no finalist finished with a valid result", style="red")
        return FAILED
    console.print(render_finalists(table, remedy=f"`{report_command(folder)} --wide` shows all"))
    console.print(f"test accuracies of all finalists together: {describe_look(look)}", soft_wrap=True)
    return FAILED if crashed else DONE
