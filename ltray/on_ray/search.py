"""A complete search: Optuna proposes settings, Tune runs trials, the study records them."""

import time
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import ray.tune
from ray.tune.error import TuneError
from rich.console import Console

from ltray.checkpoints import check_newest
from ltray.command import FAILED, INTERRUPTED
from ltray.data.pin import Pins
from ltray.errors import UsageError
from ltray.metrics import CHECKPOINT_SCORE
from ltray.on_ray import cluster
from ltray.on_ray.callbacks.budget import BudgetCallback
from ltray.on_ray.callbacks.forgive_failures import ForgiveFailures
from ltray.on_ray.callbacks.json_lines import JsonLinesCallback
from ltray.on_ray.callbacks.progress import ProgressCallback
from ltray.on_ray.callbacks.release_resources import ReleaseResourcesCallback
from ltray.on_ray.finish import conclude, write_tables
from ltray.on_ray.pbt import PBTScheduler, PopulationSearch
from ltray.on_ray.scheduler import RuleScheduler
from ltray.on_ray.searcher import StudySearch
from ltray.on_ray.shutdown import GracefulStopper, signals_to
from ltray.on_ray.tasks import SEARCH, Placement, SearchTask, task_of
from ltray.on_ray.trial import resumable, run_trial
from ltray.run_folder import RunFolder
from ltray.space.search_space import SearchSpace
from ltray.study.budget import Budget, Spent
from ltray.study.study import leader, open_study, progress_of, proposed, recorded_values, unfinished
from ltray.study.study_file import reporting_errors
from ltray.study.trial_plan import TrialPlan
from ltray.study.warm_start import learn_from_earlier


def join_cluster(space: SearchSpace, budget: Budget | None) -> int:
    """Join the cluster; return the number of trials that it runs in parallel.

    Raises:
        UsageError: A trial does not fit the cluster, or does not use the resource that the budget limits.
    """
    cluster.connect()
    cluster.check_budget(budget, space.trial)
    return cluster.concurrent_trials(space.trial)


def search(
    space: SearchSpace,
    plan: TrialPlan,
    folder: Path,
    console: Console,
    *,
    pins: Pins,
    budget: Budget | None,
    may_exit: bool,
) -> int:
    """Run a search, or the rest of it, and write its tables and its best model.

    Args:
        space: The search space, bound to its classes.
        plan: The runs of every trial, and when trials are compared.
        folder: The run folder.
        console: Receives the lines.
        pins: The data sets of all trials, as the command opened them.
        budget: The limit of the search over this and earlier commands; None: all its trials.
        may_exit: Whether a signal that ends the search immediately may also end the process, as in a command.

    Returns:
        The exit code: 1 if no trial was valid, 130 if the search was interrupted.

    Raises:
        UsageError: The study, or a checkpoint from which a trial continues, is damaged or cannot be written.
    """
    with reporting_errors(RunFolder(folder).study_file):
        return _search(space, plan, folder, console, pins=pins, budget=budget, may_exit=may_exit)


def _search(
    space: SearchSpace,
    plan: TrialPlan,
    folder: Path,
    console: Console,
    *,
    pins: Pins,
    budget: Budget | None,
    may_exit: bool,
) -> int:
    study = open_study(folder, space, lambda: learn_from_earlier(space, folder, console))
    for trial in unfinished(study):
        check_newest(resumable(RunFolder(folder).trials, trial.number))

    def print_interrupted() -> None:
        console.print(f"interrupted; run the same command again to continue the search in {folder}")

    stopper = GracefulStopper([print_interrupted], may_exit=may_exit)
    try:
        if budget and budget.is_spent(Spent.read(folder)):
            stopper.after_this_epoch(budget.spent_message)
        elif trials_left(study, space, budget):
            _run_trials(space, study, folder, console=console, plan=plan, pins=pins, stopper=stopper, budget=budget)
        found = write_tables(space, study, folder, console)
        still_open = trials_left(study, space, None)
        if stopper.interrupted and still_open:
            print_interrupted()
            stopper.final_steps.clear()
            return INTERRUPTED
        if stopper.failure:
            console.print(f"failed: {stopper.failure}", style="red", soft_wrap=True)
            return FAILED
        if budget and still_open:
            console.print(
                f"{stopper.reason or budget.spent_message}: {still_open} of {space.search.trials} trials are left; a "
                "larger --budget continues them",
            )
        if not found:
            console.print("no trial finished with a valid result", style="red")
            return FAILED
        return conclude(space, study, folder, console=console, done=not still_open)
    finally:
        cluster.disconnect()


def trials_left(study: optuna.Study, space: SearchSpace, budget: Budget | None) -> int:
    """Return the number of trials that are open or not yet proposed."""
    return len(unfinished(study)) + max(_trials(space, budget) - proposed(study), 0)


def _trials(space: SearchSpace, budget: Budget | None) -> int:
    return min(space.search.trials, budget.trials or space.search.trials) if budget else space.search.trials


def _run_trials(
    space: SearchSpace,
    study: optuna.Study,
    folder: Path,
    *,
    console: Console,
    plan: TrialPlan,
    pins: Pins,
    stopper: GracefulStopper,
    budget: Budget | None,
) -> None:
    """Run the open trials on Tune until none is left or the search ends early."""
    concurrent, left = join_cluster(space, budget), trials_left(study, space, budget)
    started = time.monotonic()
    each = {name: amount * space.trial.workers for name, amount in cluster.worker_resources(space.trial).items()}
    metric = space.base.metric
    _print_plan(space, plan, console, concurrent=min(concurrent, left))
    errors: dict[str, str] = {}  # Tune passes a crashed trial to the scheduler, and only its name to the searcher
    named: dict[str, Any] = {"metric": metric, "trials": _trials(space, budget), "stopper": stopper, "errors": errors}
    watched: dict[str, Any] = {"metric": metric, "recorded": recorded_values(study), "errors": errors}
    watched["progress"] = progress_of(study)
    searcher, scheduler = StudySearch(study, space, **named), RuleScheduler(plan.rule, **watched)
    if plan.population:
        named |= {"population": plan.population, "trials_folder": RunFolder(folder.resolve()).trials}
        searcher = PopulationSearch(study, space, **named, say=console.print)
        scheduler = PBTScheduler(plan.population, searcher, stopper, **watched)
    watch = ProgressCallback(
        console,
        space.headings(),
        metric=metric,
        trials=space.search.trials,
        done=proposed(study) - len(unfinished(study)),
        best=(first.values[0], first.number) if (first := leader(study)) else None,
        stopper=stopper,
        logger=space.trial.logger,
    )
    meter = BudgetCallback(folder, stopper, budget=budget, each=each, started=started)

    def close() -> None:
        watch.close()
        meter.write()

    stopper.final_steps[:0] = [close, partial(write_tables, space, study, folder, console)]
    tuner = ray.tune.Tuner(
        ray.tune.with_resources(run_trial, _resources(space)),
        param_space={SEARCH: _search_task(space, plan, folder, pins)},
        tune_config=ray.tune.TuneConfig(
            search_alg=searcher,
            scheduler=scheduler,
            num_samples=-1 if plan.population else left,  # a member is proposed once per generation
            max_concurrent_trials=concurrent,
            reuse_actors=True,
            trial_name_creator=lambda trial: task_of(trial).name,
            trial_dirname_creator=lambda trial: task_of(trial).folder_name,
        ),
        run_config=ray.tune.RunConfig(
            name=RunFolder(folder).trials.name,
            storage_path=str(folder.resolve()),
            stop=stopper,
            callbacks=[watch, meter, JsonLinesCallback(), ReleaseResourcesCallback(folder), ForgiveFailures()],
            checkpoint_config=ray.tune.CheckpointConfig(num_to_keep=1, checkpoint_score_attribute=CHECKPOINT_SCORE),
            failure_config=ray.tune.FailureConfig(max_failures=space.trial.retries),
            verbose=0,
        ),
    )
    try:
        with signals_to(stopper):
            tuner.fit()
    except TuneError as error:
        cause = usage_error_in(error)
        if cause is None:
            raise
        stopper.failure = str(cause)
    finally:
        del stopper.final_steps[:2]
        close()


def usage_error_in(error: BaseException | None) -> UsageError | None:
    """Return the error of ltray that made a callback of Tune fail, such as a logger's; None if it was another error."""
    while error is not None and not isinstance(error, UsageError):
        error = error.__cause__ or error.__context__
    return error


def _resources(space: SearchSpace) -> dict[str, float]:
    """Return the resources of the trial's own process; if there are several workers, they reserve their own."""
    if space.trial.workers > 1:
        return {"cpu": 0, "node:__internal_head__": 0.001}
    return {name.lower(): amount for name, amount in cluster.worker_resources(space.trial).items()}


def _search_task(space: SearchSpace, plan: TrialPlan, folder: Path, pins: Pins) -> SearchTask:
    resources = cluster.worker_resources(space.trial)
    placement = Placement(Path.cwd(), space.trial.workers, resources, space.trial.retries, pins)
    return SearchTask(RunFolder(folder.resolve()).trials, placement, plan.runs)


def _print_plan(space: SearchSpace, plan: TrialPlan, console: Console, *, concurrent: int) -> None:
    order = "in the order of the rows" if space.rows else space.search.sampler
    console.print(
        f"{space.search.trials} trials of {plan.epochs} epochs, {concurrent} at a time, {order}; "
        f"{plan.describe(space.stop)}",
        soft_wrap=True,
    )
    if plan.warning:
        console.print(plan.warning, style="yellow", soft_wrap=True)
    for dimension in space.dimensions:
        console.print(f"  {dimension.key}: {dimension.describe()}")
