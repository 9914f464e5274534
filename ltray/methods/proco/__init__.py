"""ProCo: probabilistic contrastive learning.

* `bessel`: logarithms of Bessel functions.
* `estimator`: the direction and concentration of each class.
* `losses`: the loss.
* `method`: knobs, stage and `METHOD`.
"""
