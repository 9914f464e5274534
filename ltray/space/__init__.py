"""The search space: the explored knobs, read from YAML and checked before the search starts.

* `catalog`: the search spaces of ltray.
* `compatibility`: settings that cannot be combined.
* `dimension`: one explored knob.
* `draws`: how settings are drawn.
* `legality`: the check that every draw is valid.
* `__main__`: the command `ltray space`.
* `method_choice`: one sequence of methods.
* `rows`: given settings instead of draws.
* `search_settings`: the blocks `search`, `stop` and `trial`.
* `search_space`: `SearchSpace`.
* `settings_page`: every setting as Markdown.
* `space_file`: the search-space file.
* `suited_methods`: which methods of a choice make sense on a data set.
"""

from typing import TYPE_CHECKING

from ltray.lazy_names import exports

if TYPE_CHECKING:
    from ltray.space.dimension import Dimension as Dimension
    from ltray.space.draws import FixedTrial as FixedTrial
    from ltray.space.draws import OutsideSpace as OutsideSpace
    from ltray.space.draws import StudyTrial as StudyTrial
    from ltray.space.draws import given as given
    from ltray.space.draws import label as label
    from ltray.space.draws import lowest as lowest
    from ltray.space.method_choice import Alternative as Alternative
    from ltray.space.rows import explicit_keys as explicit_keys
    from ltray.space.search_settings import Finalists as Finalists
    from ltray.space.search_settings import Stop as Stop
    from ltray.space.search_settings import TrialResources as TrialResources
    from ltray.space.search_space import SearchSpace as SearchSpace
else:
    __getattr__, __dir__ = exports(__name__)
