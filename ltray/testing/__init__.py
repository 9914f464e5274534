"""The contract of every method, as functions that any test suite can call, also for methods outside ltray.

* `check`: `check_method`, the complete contract in one call.
* `contract`: each check of the contract as a function: resume, workers, gradients, views, numbers, evaluation.
* `knob_contract`: whether each knob changes the run.
* `overfit`: 24 images of 8 pixels, and whether a method can overfit them.
* `worker_pool`: processes of a process group, for tests that compute on several workers.
"""

from typing import TYPE_CHECKING

from ltray.lazy_names import exports

if TYPE_CHECKING:
    from ltray.testing.check import check_method as check_method
    from ltray.testing.check import short_settings as short_settings
    from ltray.testing.contract import check_evaluation_changes_nothing as check_evaluation_changes_nothing
    from ltray.testing.contract import check_gradients as check_gradients
    from ltray.testing.contract import check_losses as check_losses
    from ltray.testing.contract import check_low_precision as check_low_precision
    from ltray.testing.contract import check_one_class as check_one_class
    from ltray.testing.contract import check_resume as check_resume
    from ltray.testing.contract import check_views as check_views
    from ltray.testing.contract import check_workers as check_workers
    from ltray.testing.contract import first_batch as first_batch
    from ltray.testing.contract import open_small as open_small
    from ltray.testing.contract import small_experiment as small_experiment
    from ltray.testing.knob_contract import KnobTestbed as KnobTestbed
    from ltray.testing.knob_contract import ignored_knobs as ignored_knobs
    from ltray.testing.overfit import TinyBackbone as TinyBackbone
    from ltray.testing.overfit import learned as learned
    from ltray.testing.worker_pool import WorkerPool as WorkerPool
else:
    __getattr__, __dir__ = exports(__name__)
