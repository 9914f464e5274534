"""BCL: balanced contrastive learning.

* `losses`: the loss.
* `method`: knobs, stage and `METHOD`.
* `prototypes`: class prototypes.
"""
