"""All methods by name.

A method of several files is a package. Its name here must be the package's, so that only its `METHOD` is imported.

* `balanced_softmax`: Balanced Softmax.
* `bcl`: BCL.
* `centres`: class centres.
* `class_balanced`: class-balanced loss.
* `classifiers`: the choice of a classifier.
* `cross_entropy`: the baseline.
* `crt`: cRT.
* `dlsa`: DLSA.
* `dscl`: DSCL.
* `find`: a method by name or dotted path.
* `focal`: focal loss.
* `gpaco`: GPaCo.
* `las`: LAS.
* `ldam`: LDAM-DRW.
* `lift`: LIFT.
* `linear_probe`: linear probe.
* `logit_adjustment`: logit adjustment.
* `los`: LOS.
* `lws`: LWS.
* `__main__`: the command `ltray methods`.
* `mixup`: mixup.
* `moco`: MoCo.
* `multi_task`: multi-task learning.
* `nearest_class_mean`: nearest class mean.
* `paco`: PaCo.
* `post_hoc_adjustment`: post-hoc logit adjustment.
* `proco`: ProCo.
* `rescom`: ResCom.
* `ride`: RIDE.
* `supcon`: supervised contrast.
* `tables`: the tables of knobs.
* `tau_norm`: τ-normalisation.
* `temperature`: temperature scaling.
"""

from ltray.methods import (
    balanced_softmax,
    class_balanced,
    cross_entropy,
    crt,
    focal,
    gpaco,
    las,
    ldam,
    linear_probe,
    logit_adjustment,
    los,
    lws,
    mixup,
    moco,
    multi_task,
    nearest_class_mean,
    paco,
    post_hoc_adjustment,
    supcon,
    tau_norm,
    temperature,
)
from ltray.methods.bcl.method import METHOD as BCL
from ltray.methods.dlsa.method import METHOD as DLSA
from ltray.methods.dscl.method import METHOD as DSCL
from ltray.methods.lift.method import METHOD as LIFT
from ltray.methods.proco.method import METHOD as PROCO
from ltray.methods.rescom.method import METHOD as RESCOM
from ltray.methods.ride.distilled import METHOD as RIDE_DISTILLED
from ltray.methods.ride.method import METHOD as RIDE
from ltray.stage import Method

METHODS: dict[str, Method] = {
    "cross_entropy": cross_entropy.METHOD,
    "balanced_softmax": balanced_softmax.METHOD,
    "logit_adjustment": logit_adjustment.METHOD,
    "rescom": RESCOM,
    "bcl": BCL,
    "proco": PROCO,
    "paco": paco.METHOD,
    "gpaco": gpaco.METHOD,
    "dscl": DSCL,
    "supcon": supcon.METHOD,
    "moco": moco.METHOD,
    "multi_task": multi_task.METHOD,
    "focal": focal.METHOD,
    "class_balanced": class_balanced.METHOD,
    "ldam": ldam.METHOD,
    "mixup": mixup.METHOD,
    "lift": LIFT,
    "linear_probe": linear_probe.METHOD,
    "nearest_class_mean": nearest_class_mean.METHOD,
    "crt": crt.METHOD,
    "lws": lws.METHOD,
    "las": las.METHOD,
    "los": los.METHOD,
    "tau_norm": tau_norm.METHOD,
    "post_hoc_adjustment": post_hoc_adjustment.METHOD,
    "temperature": temperature.METHOD,
    "dlsa": DLSA,
    "ride": RIDE,
    "ride_distilled": RIDE_DISTILLED,
}
