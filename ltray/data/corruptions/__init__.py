"""The 15 common corruptions of ImageNet-C and CIFAR-C, with which robustness is measured.

Source: Hendrycks and Dietterich, Benchmarking Neural Network Robustness to Common Corruptions and Perturbations,
ICLR 2019 (arXiv:1903.12261). They are written anew with numpy, scipy and Pillow; differences from the authors' programs
are stated in docs/evaluation.md.

* `blurs`: defocus, glass, motion and zoom blur.
* `corrupt`: a corruption by name, applied to a batch.
* `digital`: brightness, contrast, elastic transform, pixelate, JPEG.
* `noise`: Gaussian, shot and impulse noise.
* `draws`: random numbers of each image.
* `severities`: the constants of the five severities at 32 and at 224 pixels.
* `warps`: resampling of batches, and the blur along a line.
* `weather`: snow, frost and fog.
"""
