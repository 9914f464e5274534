"""DLSA: distribution-aligned flow filters.

* `division`: division of the data by likelihood.
* `flow_filter`: the Flow Filter.
* `flow_mixture`: a flow over a mixture of Gaussians.
* `knobs`: the hyperparameters.
* `losses`: the losses of a Flow Filter.
* `method`: stages and `METHOD`.
* `unit_features`: features of unit size.
"""
