"""FFCV's files: conversion of originals, the records next to the files, and the reading of the files.

* `changes`: whether originals have changed.
* `chunks`: prepared images of a conversion.
* `completion`: the marker of a finished conversion.
* `convert`: originals to .beton files.
* `disk_space`: free disk space.
* `in_use`: converted files that a command reads.
* `inventory`: the record of the originals.
* `left_out`: images that were left out.
* `manifest`: the JSON file of each .beton file.
* `node_copy`: the local copy of each machine.
* `ownership`: files that a conversion may replace.
* `parent_watch`: processes that end with their parent.
* `prepare`: parallel encoding.
* `presence`: whether originals are on this machine.
* `progress`: progress bars.
* `reader`: reads .beton files.
* `report`: findings in the originals.
* `spawning`: processes without the main module.
* `store`: the converted files of a data set.
* `survey`: the summary of a conversion, as lines.
* `verification`: comparison of converted images.
* `writer`: writes .beton files.
"""

from typing import TYPE_CHECKING

from ltray.lazy_names import exports

if TYPE_CHECKING:
    from ltray.data.beton.changes import fingerprint_of as fingerprint_of
    from ltray.data.beton.changes import names_differ as names_differ
    from ltray.data.beton.convert import REPORT as REPORT
    from ltray.data.beton.in_use import Hold as Hold
    from ltray.data.beton.left_out import usable as usable
    from ltray.data.beton.manifest import Sidecar as Sidecar
    from ltray.data.beton.ownership import Ownership as Ownership
    from ltray.data.beton.presence import open_if_present as open_if_present
    from ltray.data.beton.progress import ProgressBars as ProgressBars
    from ltray.data.beton.reader import BetonFile as BetonFile
    from ltray.data.beton.reader import decode_jpeg as decode_jpeg
    from ltray.data.beton.reader import library as library
    from ltray.data.beton.store import Check as Check
    from ltray.data.beton.store import Converted as Converted
    from ltray.data.beton.store import converted as converted
    from ltray.data.beton.store import converted_already as converted_already
    from ltray.data.beton.store import folder_of as folder_of
    from ltray.data.beton.store import sidecars as sidecars
    from ltray.data.beton.verification import verify as verify
else:
    __getattr__, __dir__ = exports(__name__)
