"""The sources of images and labels: one module for each kind of source.

* `archive`: zip files.
* `cifar`: CIFAR-10 and CIFAR-100.
* `class_names`: names of classes.
* `digits`: scikit-learn's digits.
* `folder`: a folder for each class.
* `folder_layout`: the folders that are splits or classes.
* `forms`: the form of a user's images.
* `label_space`: the classes of a data set.
* `list_file`: list files and JSON.
* `listed_paths`: the paths of listed images.
* `lists`: the images of list files.
* `named_classes`: a file of class names.
* `new_images`: labelled images that a trained model is evaluated on.
* `parquet`: images in Parquet files.
* `parquet_labels`: labels in Parquet files.
* `registry`: the sources by name.
* `table`: CSV, TSV and JSON lines.
* `table_columns`: the columns of paths, labels and splits.
* `table_list`: images and labels in a table.
* `table_paths`: the paths of a table's images.
"""

from typing import TYPE_CHECKING

from ltray.lazy_names import exports

if TYPE_CHECKING:
    from ltray.data.sources.cifar import is_downloaded as is_downloaded
    from ltray.data.sources.cifar import parquet_files as parquet_files
    from ltray.data.sources.class_names import some as some
    from ltray.data.sources.list_file import ListFile as ListFile
    from ltray.data.sources.lists import find_list as find_list
    from ltray.data.sources.lists import reference_counts as reference_counts
    from ltray.data.sources.registry import open_source as open_source
else:
    __getattr__, __dir__ = exports(__name__)
