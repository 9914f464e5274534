"""RIDE: routing diverse experts.

* `distilled`: RIDE with distillation.
* `experts`: the experts' network.
* `knobs`: the hyperparameters.
* `losses`: the losses.
* `method`: stages and `METHOD`.
* `routing`: the router.
"""
