"""Augmentations, which create the views of a stage from stored pixels.

* `affine`: affine warps.
* `autoaugment`: AutoAugment.
* `blur`: Gaussian blur.
* `colour`: colour jitter and grayscale.
* `counter_rng`: random numbers computed from a sample's position.
* `cutout`: Cutout.
* `five_crops`: the crops of test-time ensembling.
* `geometry`: crops and flips.
* `patches`: small crops of a view.
* `per_sample`: a different operation for each sample.
* `pixels`: pixel levels and blending.
* `policies`: the augmentation policies by name.
* `randaugment`: RandAugment.
* `resize`: crop and resize.
* `tone`: brightness, contrast, sharpness, histogram operations.
* `kernels/`: Loops over 8-bit pixels, compiled by numba: the CPU version of the augmentations.
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
