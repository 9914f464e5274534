"""The table of contents: every method by name."""

from ltray.methods import (
    balanced_softmax,
    class_balanced,
    cross_entropy,
    crt,
    focal,
    gpaco,
    las,
    ldam,
    logit_adjustment,
    lws,
    mixup,
    moco,
    multi_task,
    paco,
    post_hoc_adjustment,
    supcon,
    tau_norm,
    temperature,
)
from ltray.methods.bcl import method as bcl
from ltray.methods.dlsa import method as dlsa
from ltray.methods.dscl import method as dscl
from ltray.methods.rescom import method as rescom
from ltray.methods.ride import distilled as ride_distilled
from ltray.methods.ride import method as ride
from ltray.stage import Method

METHODS: dict[str, Method] = {
    "cross_entropy": cross_entropy.METHOD,
    "balanced_softmax": balanced_softmax.METHOD,
    "logit_adjustment": logit_adjustment.METHOD,
    "rescom": rescom.METHOD,
    "bcl": bcl.METHOD,
    "paco": paco.METHOD,
    "gpaco": gpaco.METHOD,
    "dscl": dscl.METHOD,
    "supcon": supcon.METHOD,
    "moco": moco.METHOD,
    "multi_task": multi_task.METHOD,
    "focal": focal.METHOD,
    "class_balanced": class_balanced.METHOD,
    "ldam": ldam.METHOD,
    "mixup": mixup.METHOD,
    "crt": crt.METHOD,
    "lws": lws.METHOD,
    "las": las.METHOD,
    "tau_norm": tau_norm.METHOD,
    "post_hoc_adjustment": post_hoc_adjustment.METHOD,
    "temperature": temperature.METHOD,
    "dlsa": dlsa.METHOD,
    "ride": ride.METHOD,
    "ride_distilled": ride_distilled.METHOD,
}
