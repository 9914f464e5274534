"""The engine, which trains stages. It does not depend on methods or on a cluster.

* `backbone_knobs`: learning rates by layer, stochastic depth.
* `checkpoint`: what is saved after an epoch.
* `ema`: moving average of the weights.
* `epoch_evaluation`: evaluation after an epoch.
* `evaluation`: metrics on a split.
* `features`: stages that train on features of a frozen backbone.
* `fold_error`: the standard error of a cross-validated value.
* `held_out`: out-of-fold scores.
* `loop`: `train`: stages, epochs, steps.
* `memory_session`: a session that keeps reports in memory.
* `observations`: metrics of an epoch besides its losses.
* `optimizers`: optimizers by name.
* `out_of_memory`: an error that names a batch that fits.
* `session`: `Session` and `Run`: the inputs of a run.
* `single_values`: an error for batches that BatchNorm cannot normalise.
* `timing`: measured duration of a stage.
* `train_step`: one step of the optimizer.
"""

from typing import TYPE_CHECKING

from ltray.lazy_names import exports

if TYPE_CHECKING:
    from ltray.engine.checkpoint import FILE_NAME as FILE_NAME
    from ltray.engine.checkpoint import SUMMARY_NAME as SUMMARY_NAME
    from ltray.engine.checkpoint import Checkpoint as Checkpoint
    from ltray.engine.checkpoint import Position as Position
    from ltray.engine.checkpoint import check_weights_digest as check_weights_digest
    from ltray.engine.checkpoint import metrics_of as metrics_of
    from ltray.engine.ema import check_average as check_average
    from ltray.engine.evaluation import Evaluation as Evaluation
    from ltray.engine.evaluation import classify as classify
    from ltray.engine.loop import planned_epochs as planned_epochs
    from ltray.engine.loop import train as train
    from ltray.engine.memory_session import MemorySession as MemorySession
    from ltray.engine.observations import observed_metrics as observed_metrics
    from ltray.engine.optimizers import new_optimizer as new_optimizer
    from ltray.engine.session import Run as Run
    from ltray.engine.session import Session as Session
    from ltray.engine.timing import StageTime as StageTime
    from ltray.engine.timing import time_stage as time_stage
    from ltray.engine.train_step import NotFinite as NotFinite
    from ltray.engine.train_step import set_training_mode as set_training_mode
else:
    __getattr__, __dir__ = exports(__name__)
