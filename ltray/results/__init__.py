"""The results of runs and searches: folders, tables, finalists, hyperparameter importance.

* `class_prior`: class shares, and scores adapted to them.
* `classifier`: a trained model that classifies images.
* `confident_mistakes`: wrong predictions with the highest confidence.
* `conformal`: prediction sets with a guaranteed coverage.
* `crop_margin`: the distance of the crops of test-time ensembling.
* `exported`: a trained model as a graph outside ltray.
* `final_evaluation`: the evaluation at the end of a run.
* `finalist_table`: tables of finalists.
* `finalists`: settings that are trained again on new seeds.
* `folder_session`: a session that writes a run folder.
* `hub_folder`: a trained model as a folder in the layout of the Hugging Face hub.
* `importance`: hyperparameter importance.
* `importance_table`: importance and ranges as a table.
* `intervals`: confidence intervals.
* `label_shift`: accuracy under other class priors.
* `ledger`: the looks at the test images.
* `live_record`: the record of a run that may be running.
* `loaded_run`: `ltray.load`.
* `method_verdict`: the best of several methods.
* `model_card`: what a model was trained on, how good it is, and its limits.
* `moderated_spreads`: variances by empirical Bayes.
* `multiple_comparisons`: simultaneous comparisons.
* `new_images`: the evaluation of a model on new labelled images.
* `next_steps`: further commands after a search over methods.
* `onnx_script`: a script that classifies images with an exported file.
* `output_folder`: folders that a command may use.
* `paths`: paths in shell commands.
* `predictions`: logits on a split.
* `range_edges`: best values at the end of a range.
* `printed_trials`: the trials of a search on the terminal.
* `recorded_data`: the data that a run recorded.
* `run_record`: the content of a run folder.
* `run_status`: the state of a run that may be running.
* `table_schema`: types and version of Parquet files of results.
* `tables`: the tables of a search.
* `tau_curve`: accuracy over τ.
* `verdict`: `verdict.json`.
* `verdict_words`: the verdict on methods in sentences.
"""

from typing import TYPE_CHECKING

from ltray.lazy_names import exports

if TYPE_CHECKING:
    from ltray.results.classifier import NOT_CALIBRATED as NOT_CALIBRATED
    from ltray.results.classifier import Classifier as Classifier
    from ltray.results.classifier import Prediction as Prediction
    from ltray.results.classifier import best_device as best_device
    from ltray.results.final_evaluation import accuracy_line as accuracy_line
    from ltray.results.final_evaluation import keep_evaluated as keep_evaluated
    from ltray.results.finalist_table import OF_PAPERS as OF_PAPERS
    from ltray.results.finalist_table import against as against
    from ltray.results.finalist_table import meanings as meanings
    from ltray.results.finalist_table import methods_of as methods_of
    from ltray.results.finalist_table import name_of as name_of
    from ltray.results.finalist_table import render_finalists as render_finalists
    from ltray.results.finalist_table import selected_on as selected_on
    from ltray.results.finalist_table import shift_of as shift_of
    from ltray.results.finalist_table import spread as spread
    from ltray.results.finalist_table import write_finalists as write_finalists
    from ltray.results.finalists import ROUNDS_BEFORE_DROPPING as ROUNDS_BEFORE_DROPPING
    from ltray.results.finalists import Cell as Cell
    from ltray.results.finalists import Finalist as Finalist
    from ltray.results.finalists import check_asked as check_asked
    from ltray.results.finalists import choose as choose
    from ltray.results.finalists import clear_losers as clear_losers
    from ltray.results.finalists import looks as looks
    from ltray.results.finalists import read_run as read_run
    from ltray.results.finalists import read_runs as read_runs
    from ltray.results.finalists import rounds as rounds
    from ltray.results.folder_session import FolderSession as FolderSession
    from ltray.results.importance import reason_unavailable as reason_unavailable
    from ltray.results.importance_table import NOT_SIGNIFICANT as NOT_SIGNIFICANT
    from ltray.results.importance_table import print_importance as print_importance
    from ltray.results.intervals import LEVEL as LEVEL
    from ltray.results.intervals import Interval as Interval
    from ltray.results.intervals import mean_interval as mean_interval
    from ltray.results.intervals import run_interval as run_interval
    from ltray.results.ledger import LOOK as LOOK
    from ltray.results.ledger import declare_end_of as declare_end_of
    from ltray.results.ledger import describe_look as describe_look
    from ltray.results.ledger import note_look as note_look
    from ltray.results.ledger import number_of as number_of
    from ltray.results.ledger import run_of as run_of
    from ltray.results.loaded_run import LoadedRun as LoadedRun
    from ltray.results.loaded_run import load as load
    from ltray.results.output_folder import check_output as check_output
    from ltray.results.paths import dashboard_command as dashboard_command
    from ltray.results.paths import tensorboard_command as tensorboard_command
    from ltray.results.predictions import Predictions as Predictions
    from ltray.results.predictions import TrainedModel as TrainedModel
    from ltray.results.printed_trials import BEST_SHOWN as BEST_SHOWN
    from ltray.results.printed_trials import render as render
    from ltray.results.recorded_data import check_for as check_for
    from ltray.results.run_record import RunRecord as RunRecord
    from ltray.results.tables import FRONT as FRONT
    from ltray.results.tables import history as history
    from ltray.results.tables import precision_of_best as precision_of_best
    from ltray.results.tables import state_of as state_of
    from ltray.results.tables import trial_label as trial_label
    from ltray.results.tables import trial_table as trial_table
    from ltray.results.tables import write_table as write_table
    from ltray.results.tau_curve import TauCurve as TauCurve
    from ltray.results.tau_curve import adjustment_curve as adjustment_curve
    from ltray.results.tau_curve import norm_curve as norm_curve
else:
    __getattr__, __dir__ = exports(__name__)
