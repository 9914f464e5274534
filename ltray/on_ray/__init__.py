"""Runs experiments on Ray: only this folder imports Ray.

Ray reads its environment when it is imported. The environment is therefore set here, before any
module of this folder imports Ray. ltray replaces Ray's console output: an error is
printed as one line, and its complete text is in the trial's `error.txt`.

* `cluster`: joins or starts a cluster.
* `final_evaluation`: the last evaluation of a run.
* `finalists`: trains finalists.
* `finish`: the end of a search.
* `exit_timeout`: ends a command that waits too long for Ray.
* `cluster_query`: queries the state of a cluster.
* `join_check`: checks whether a cluster can be joined.
* `last_line`: an error in one line.
* `launcher`: trains and evaluates on a cluster.
* `local_cluster`: a cluster on this machine.
* `node_watch`: detects that Ray has ended.
* `paper_table`: the rows of a paper's table.
* `pbt`: population based training on Tune.
* `pins`: the digests of the data of runs.
* `running_clusters`: the user's clusters on this machine.
* `scheduler`: early stopping on Tune.
* `search`: a complete search.
* `searcher`: Optuna's proposals for Tune.
* `session`: reports of a worker.
* `shutdown`: the early end of a search.
* `tasks`: the inputs of the processes.
* `token_file`: the token of a cluster.
* `torch_backend`: the process group of workers.
* `trainer`: when a failed run restarts.
* `trial`: one trial.
* `failure_count`: counts the failures after which a run restarts.
* `waves`: several independent runs in parallel.
* `workers`: the code of each worker.
* `_compat`: private parts of other packages.
* `_compat_train`: private parts of other packages.
* `callbacks/`: the callbacks of Ray Tune during a search.
"""

import os

from ltray.ray_address import stays_on_loopback

os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")  # relative paths remain relative to the user's folder
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("TUNE_DISABLE_STRICT_METRIC_CHECKING", "1")  # a run that cannot continue reports only the reason
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")  # shutdown.py handles SIGINT
os.environ.setdefault(
    "TUNE_FUNCTION_THREAD_TIMEOUT_S", "30"
)  # a stopped trial of several workers first ends its workers
# An interrupted command leaves reports unread; every other error is raised where its result is awaited.
os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
os.environ.setdefault("TUNE_PRINT_ALL_TRIAL_ERRORS", "0")
os.environ.setdefault("TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S", "0")
# With shorter time-outs, Ray treats a late answer of an overloaded machine as the end of a node.
os.environ.setdefault("RAY_TRAIN_WORKER_HEALTH_CHECK_TIMEOUT_S", "3600")
os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "600")
if stays_on_loopback():
    # Without this, Ray on Linux replaces 127.0.0.1 with the machine's address in the network and listens on every
    # interface. (The variable is named after the systems on which that is the default.)
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
