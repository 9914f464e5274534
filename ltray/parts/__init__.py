"""The parts that two or more methods share.

* `adapters`: AdaptFormer, adapters, LoRA and prompts.
* `adjusted_classifiers`: classifiers with scale, shift or temperature.
* `agreement`: MCC and NMI.
* `backbones`: the families of backbones by the prefix of their names.
* `batch_norm`: BatchNorm over all workers.
* `blending`: mixup and CutMix.
* `blocks`: the blocks of a backbone.
* `calibration`: reliability and ECE.
* `contrast`: anchors and keys over all workers.
* `corruption_error`: errors on corrupted images.
* `counts`: numbers of rows of each class.
* `dotted_backbones`: backbones of other packages.
* `drop_path`: stochastic depth.
* `exact_search`: exact search of one parameter.
* `fine_tuning`: which part of a pretrained backbone is trained.
* `flows`: masked autoregressive flows.
* `heads`: classifiers and projectors.
* `key_queue`: queue of keys of MoCo, PaCo and DSCL.
* `layer_scales`: learning rates by layer.
* `losses`: cross-entropy with class frequencies.
* `margin_losses`: margins and class weights.
* `mean_features`: the mean feature of each class.
* `momentum`: the momentum copy of a network.
* `openclip_backbones`: OpenCLIP's image towers.
* `own_backbones`: the backbones with names of their own.
* `pairs`: sums over the pairs of a batch.
* `precision`: float32 under autocast.
* `pretrained`: the weights that a backbone starts from.
* `published`: weights that a library publishes.
* `queues`: a queue for each class.
* `resnet32`: ResNet-32.
* `text_rows`: rows of a classifier from class names.
* `timm_backbones`: timm's networks.
* `torchvision_backbones`: torchvision's networks.
* `weight_files`: the tensors in a file of weights.
* `weight_layouts`: the tensors of a file that belong to a backbone.
* `weights_at_hand`: pretrained weights on this machine.
"""

from typing import TYPE_CHECKING

from ltray.lazy_names import exports

if TYPE_CHECKING:
    from ltray.parts.adjusted_classifiers import ScaledClassifier as ScaledClassifier
    from ltray.parts.adjusted_classifiers import ShiftedClassifier as ShiftedClassifier
    from ltray.parts.agreement import matthews_correlation as matthews_correlation
    from ltray.parts.agreement import normalised_mutual_information as normalised_mutual_information
    from ltray.parts.backbones import FAMILIES as FAMILIES
    from ltray.parts.backbones import Family as Family
    from ltray.parts.backbones import check_backbone as check_backbone
    from ltray.parts.backbones import family_of as family_of
    from ltray.parts.backbones import new_backbone as new_backbone
    from ltray.parts.batch_norm import WorkersBatchNorm as WorkersBatchNorm
    from ltray.parts.batch_norm import synchronise as synchronise
    from ltray.parts.calibration import reliability as reliability
    from ltray.parts.contrast import ContrastBatch as ContrastBatch
    from ltray.parts.contrast import similarity as similarity
    from ltray.parts.contrast import unit as unit
    from ltray.parts.exact_search import correct_range as correct_range
    from ltray.parts.exact_search import most_correct as most_correct
    from ltray.parts.fine_tuning import TRAIN as TRAIN
    from ltray.parts.fine_tuning import Trained as Trained
    from ltray.parts.fine_tuning import default_size as default_size
    from ltray.parts.fine_tuning import tune as tune
    from ltray.parts.flows import AutoregressiveFlow as AutoregressiveFlow
    from ltray.parts.flows import FlowBatchNorm as FlowBatchNorm
    from ltray.parts.heads import CosineClassifier as CosineClassifier
    from ltray.parts.heads import mlp as mlp
    from ltray.parts.heads import new_classifier as new_classifier
    from ltray.parts.heads import projector as projector
    from ltray.parts.key_queue import KeyQueue as KeyQueue
    from ltray.parts.losses import adjusted_cross_entropy as adjusted_cross_entropy
    from ltray.parts.losses import effective_number_weights as effective_number_weights
    from ltray.parts.losses import log_prior as log_prior
    from ltray.parts.margin_losses import class_balanced_weights as class_balanced_weights
    from ltray.parts.margin_losses import ldam_margins as ldam_margins
    from ltray.parts.margin_losses import subtract_margins as subtract_margins
    from ltray.parts.margin_losses import weighted_cross_entropy as weighted_cross_entropy
    from ltray.parts.mean_features import class_means as class_means
    from ltray.parts.momentum import MomentumCopy as MomentumCopy
    from ltray.parts.momentum import MomentumKnobs as MomentumKnobs
    from ltray.parts.openclip_backbones import ImageTower as ImageTower
    from ltray.parts.own_backbones import BACKBONES as BACKBONES
    from ltray.parts.pairs import EPSILON as EPSILON
    from ltray.parts.pairs import class_similarity as class_similarity
    from ltray.parts.pairs import extended as extended
    from ltray.parts.pairs import floored as floored
    from ltray.parts.pairs import log_sum_exp_of as log_sum_exp_of
    from ltray.parts.pairs import positive_similarity as positive_similarity
    from ltray.parts.pairs import supervised_contrast as supervised_contrast
    from ltray.parts.precision import full_precision as full_precision
    from ltray.parts.pretrained import Origin as Origin
    from ltray.parts.pretrained import check_weights as check_weights
    from ltray.parts.pretrained import file_of as file_of
    from ltray.parts.pretrained import fitting as fitting
    from ltray.parts.pretrained import has_imagenet_weights as has_imagenet_weights
    from ltray.parts.pretrained import load_weights as load_weights
    from ltray.parts.pretrained import origin_of as origin_of
    from ltray.parts.pretrained import weights_digest as weights_digest
    from ltray.parts.published import InputSettings as InputSettings
    from ltray.parts.published import Published as Published
    from ltray.parts.queues import SLOTS as SLOTS
    from ltray.parts.queues import ClassQueue as ClassQueue
    from ltray.parts.queues import balanced_slots as balanced_slots
    from ltray.parts.resnet32 import ResNet32 as ResNet32
    from ltray.parts.resnet32 import residual_stage as residual_stage
    from ltray.parts.timm_backbones import TimmBackbone as TimmBackbone
    from ltray.parts.torchvision_backbones import IMAGE_SIZES as IMAGE_SIZES
    from ltray.parts.torchvision_backbones import ResNet as ResNet
    from ltray.parts.torchvision_backbones import VisionTransformer as VisionTransformer
    from ltray.parts.weight_files import read_tensors as read_tensors
    from ltray.parts.weight_layouts import Fit as Fit
    from ltray.parts.weight_layouts import fit as fit
    from ltray.parts.weights_at_hand import WeightsAtHand as WeightsAtHand
    from ltray.parts.weights_at_hand import find_weights as find_weights
else:
    __getattr__, __dir__ = exports(__name__)
