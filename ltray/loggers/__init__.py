"""Loggers, which receive the metrics in addition to the run folder, with one protocol.

* `logger`: the protocol, and a logger by its name or, in another package, by its dotted path.
* `tensorboard`: TensorBoard events.
"""

from typing import TYPE_CHECKING

from ltray.lazy_names import exports

if TYPE_CHECKING:
    from ltray.loggers.logger import LOGGERS as LOGGERS
    from ltray.loggers.logger import Logger as Logger
    from ltray.loggers.logger import check_logger as check_logger
    from ltray.loggers.logger import new_logger as new_logger
    from ltray.loggers.tensorboard import TensorBoardLogger as TensorBoardLogger
    from ltray.loggers.tensorboard import scalars as scalars
else:
    __getattr__, __dir__ = exports(__name__)
