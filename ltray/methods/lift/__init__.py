"""LIFT: lightweight fine-tuning of a frozen pretrained network.

* `crops`: the crops of LIFT+.
* `losses`: the losses that its code offers.
* `method`: knobs, stage and `METHOD`.
"""
