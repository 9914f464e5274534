"""Augmentations, which turn stored pixels into the views of a stage.

* `affine`: affine warps.
* `autoaugment`: AutoAugment.
* `blur`: Gaussian blur.
* `colour`: colour jitter and grayscale.
* `counter_rng`: random numbers by position.
* `cutout`: Cutout.
* `geometry`: crops and flips.
* `patches`: small crops of a view.
* `per_sample`: an operation for each sample.
* `pixels`: levels and blending.
* `policies`: the policies by name.
* `randaugment`: RandAugment.
* `resize`: crop and resize.
* `tone`: changes of tone.
* `kernels/`: Loops over 8-bit pixels, compiled by numba: how a CPU does what `ltray.data` does with tensors elsewhere.
"""

from typing import TYPE_CHECKING

from ltray.lazy_names import exports

if TYPE_CHECKING:
    from ltray.data.transforms.geometry import ResizedCrop as ResizedCrop
    from ltray.data.transforms.pixels import mirror as mirror
    from ltray.data.transforms.resize import CENTRE as CENTRE
    from ltray.data.transforms.resize import centre_of as centre_of
    from ltray.data.transforms.resize import resize_one as resize_one
else:
    __getattr__, __dir__ = exports(__name__)
