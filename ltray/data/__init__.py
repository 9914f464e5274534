"""From a data-set definition to batches.

* `data_folder`: where converted data are.
* `dataset`: `open_data`, and the data set as the engine sees it.
* `decoding`: image files to 8-bit RGB.
* `definition`: the data-set file.
* `draft_definition`: a data-set file for a folder of images.
* `encoding`: how images are stored.
* `feature_cache`: features of frozen networks on disk.
* `ffcv_pool`: images of a .beton file.
* `image_file`: one image from outside a data set.
* `image_files`: which files of a folder are images.
* `fold_data`: the data set of a fold.
* `folds`: stratified folds of the training images.
* `imbalance`: training images of each class.
* `loaders`: the batches of each worker.
* `memory`: how freed memory is returned.
* `originals`: images before a conversion.
* `pin`: the digests with which workers compare their data.
* `plan`: epochs as steps and workers.
* `pools`: decoded images by position.
* `sampled`: a sample of the images, for measurements.
* `sampling`: the order of an epoch.
* `splits`: training, validation and test images.
* `unaugmented`: the training set without augmentation.
* `views`: the views of a batch.
* `beton/`: FFCV's files: converting originals into them, the records next to them, and reading them.
* `corruptions/`: The common corruptions of ImageNet-C and CIFAR-C.
* `sources/`: Where images and labels come from: one module for each kind of source.
* `transforms/`: Augmentations, which create the views of a stage from stored pixels.
"""

from typing import TYPE_CHECKING

from ltray.lazy_names import exports

if TYPE_CHECKING:
    from ltray.data.dataset import ImageData as ImageData
    from ltray.data.dataset import Opened as Opened
    from ltray.data.dataset import open_data as open_data
    from ltray.data.decoding import decode as decode
    from ltray.data.definition import LISTS as LISTS
    from ltray.data.definition import PLACES as PLACES
    from ltray.data.definition import DatasetDefinition as DatasetDefinition
    from ltray.data.definition import find as find
    from ltray.data.encoding import Storage as Storage
    from ltray.data.image_file import fitted as fitted
    from ltray.data.image_file import read_image as read_image
    from ltray.data.image_files import SUFFIXES as SUFFIXES
    from ltray.data.imbalance import KINDS as KINDS
    from ltray.data.originals import Originals as Originals
    from ltray.data.pin import Pin as Pin
    from ltray.data.pin import Pins as Pins
    from ltray.data.pools import MemoryPool as MemoryPool
    from ltray.data.splits import Indices as Indices
    from ltray.data.splits import Split as Split
    from ltray.data.splits import cut as cut
    from ltray.data.views import EpochPosition as EpochPosition
    from ltray.data.views import ViewMaker as ViewMaker
else:
    __getattr__, __dir__ = exports(__name__)
