"""ResCom: rebalanced Siamese contrastive mining.

* `losses`: the loss and the mining of pairs.
* `method`: knobs, stage and `METHOD`.
"""

from typing import TYPE_CHECKING

from ltray.lazy_names import exports

if TYPE_CHECKING:
    from ltray.methods.rescom.method import ResComKnobs as ResComKnobs
else:
    __getattr__, __dir__ = exports(__name__)
