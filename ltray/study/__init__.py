"""The record of a search and its decisions: proposals, early stopping, the budget.

* `budget`: the limit of a search and what it has used.
* `cost`: expected hours and disk use.
* `dry_run`: the checks of `--dry-run`.
* `fold_runs`: the runs of a cross-validation.
* `new_setting`: proposals that differ from every earlier trial.
* `paper_prior`: the prior around the papers' setting.
* `population`: population based training.
* `progress`: the state that a trial has reached.
* `redraw`: trials whose draw was interrupted.
* `run_of_several`: the session of one of a trial's runs.
* `seed_runs`: a trial of several seeds.
* `short_runs`: a trial of several short runs.
* `storage`: the database of a study.
* `study`: the record of a search.
* `study_file`: the file of a study.
* `trial_digest`: digests of trials.
* `trial_plan`: epochs of trials and the epochs at which they are compared.
* `warm_start`: trials of earlier searches.
* `_compat`: private parts of other packages.
"""

from typing import TYPE_CHECKING

from ltray.lazy_names import exports

if TYPE_CHECKING:
    from ltray.study._compat import as_recorded as as_recorded
    from ltray.study._compat import live as live
    from ltray.study.budget import Budget as Budget
    from ltray.study.budget import Spent as Spent
    from ltray.study.dry_run import check_workers as check_workers
    from ltray.study.dry_run import print_dry_run as print_dry_run
    from ltray.study.population import Copy as Copy
    from ltray.study.population import Population as Population
    from ltray.study.population import check_population as check_population
    from ltray.study.progress import TrialProgress as TrialProgress
    from ltray.study.redraw import undrawn as undrawn
    from ltray.study.run_of_several import RUN as RUN
    from ltray.study.run_of_several import RUN_EPOCH as RUN_EPOCH
    from ltray.study.short_runs import ShortRuns as ShortRuns
    from ltray.study.short_runs import train_runs as train_runs
    from ltray.study.study import ATTEMPT as ATTEMPT
    from ltray.study.study import COPIES as COPIES
    from ltray.study.study import NAME as NAME
    from ltray.study.study import PAPER as PAPER
    from ltray.study.study import PROGRESS as PROGRESS
    from ltray.study.study import REASON as REASON
    from ltray.study.study import SETTINGS as SETTINGS
    from ltray.study.study import as_read as as_read
    from ltray.study.study import ask as ask
    from ltray.study.study import front as front
    from ltray.study.study import leader as leader
    from ltray.study.study import open_study as open_study
    from ltray.study.study import own_trials as own_trials
    from ltray.study.study import progress_of as progress_of
    from ltray.study.study import proposed as proposed
    from ltray.study.study import recorded_values as recorded_values
    from ltray.study.study import unfinished as unfinished
    from ltray.study.study_file import reporting_errors as reporting_errors
    from ltray.study.study_file import url_of as url_of
    from ltray.study.trial_plan import TrialPlan as TrialPlan
    from ltray.study.warm_start import Earlier as Earlier
    from ltray.study.warm_start import earlier_searches as earlier_searches
    from ltray.study.warm_start import learn_from_earlier as learn_from_earlier
else:
    __getattr__, __dir__ = exports(__name__)
