"""Where metrics go besides `history.jsonl`.

* `tensorboard`: TensorBoard events.
"""

from typing import TYPE_CHECKING

from ltray.lazy_names import exports

if TYPE_CHECKING:
    from ltray.loggers.tensorboard import TensorBoardLogger as TensorBoardLogger
    from ltray.loggers.tensorboard import scalars as scalars
else:
    __getattr__, __dir__ = exports(__name__)
