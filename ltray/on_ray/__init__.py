"""Runs experiments on Ray: the only folder that imports it.

Ray reads its environment when it is imported, so it is set here, before any module of this
folder does that. Ray's own console output gives way to ltray's; an error still reaches the
user as one line, and in full through the trial's `error.txt`.
"""

import os

from ltray.ray_address import stays_on_loopback

os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")  # relative paths stay relative to the user's folder
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("TUNE_DISABLE_STRICT_METRIC_CHECKING", "1")  # a run that cannot go on reports only why
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")  # shutdown.py listens
os.environ.setdefault("TUNE_FUNCTION_THREAD_TIMEOUT_S", "30")  # a stopped trial of several workers ends them first
os.environ.setdefault("TUNE_PRINT_ALL_TRIAL_ERRORS", "0")
os.environ.setdefault("TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S", "0")
# Other time-outs take a late answer for a death; a machine with too much to do is late.
os.environ.setdefault("RAY_TRAIN_WORKER_HEALTH_CHECK_TIMEOUT_S", "3600")
os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "600")
if stays_on_loopback():
    # Without this, Ray on Linux replaces 127.0.0.1 by the machine's address in the network and listens on every
    # interface. (The name tells of the systems where that is the default.)
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
