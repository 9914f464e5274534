"""DSCL with patch-based self-distillation.

* `class_means`: running class means.
* `knobs`: the hyperparameters.
* `losses`: the losses.
* `method`: stages and `METHOD`.
"""
