"""Loggers, which receive the metrics in addition to the run folder, with one protocol.

* `logger`: the protocol, and a logger by its name or, in another package, by its dotted path.
* `mlflow`: runs of MLflow.
* `tensorboard`: TensorBoard events.
* `wandb`: runs of Weights & Biases.
"""

from typing import TYPE_CHECKING

from ltray.lazy_names import exports

if TYPE_CHECKING:
    from ltray.loggers.logger import LOGGERS as LOGGERS
    from ltray.loggers.logger import Logger as Logger
    from ltray.loggers.logger import check_logger as check_logger
    from ltray.loggers.logger import new_logger as new_logger
    from ltray.loggers.logger import scalars as scalars
    from ltray.loggers.mlflow import MLflowLogger as MLflowLogger
    from ltray.loggers.tensorboard import TensorBoardLogger as TensorBoardLogger
    from ltray.loggers.wandb import WandbLogger as WandbLogger
else:
    __getattr__, __dir__ = exports(__name__)
