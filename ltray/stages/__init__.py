"""Stages that several methods use.

* `linear_classifier`: a new linear classifier.
* `post_hoc`: stages without training.
* `second_stage`: what cRT, LWS, LAS and LOS have in common.
"""

from typing import TYPE_CHECKING

from ltray.lazy_names import exports

if TYPE_CHECKING:
    from ltray.stages.linear_classifier import LinearClassifier as LinearClassifier
    from ltray.stages.post_hoc import ROWS as ROWS
    from ltray.stages.post_hoc import PostHoc as PostHoc
    from ltray.stages.post_hoc import PostHocKnobs as PostHocKnobs
    from ltray.stages.second_stage import FrozenBackboneKnobs as FrozenBackboneKnobs
    from ltray.stages.second_stage import FrozenBackboneStage as FrozenBackboneStage
    from ltray.stages.second_stage import SecondStage as SecondStage
    from ltray.stages.second_stage import SecondStageKnobs as SecondStageKnobs
    from ltray.stages.second_stage import untrained_network as untrained_network
else:
    __getattr__, __dir__ = exports(__name__)
