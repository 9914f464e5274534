"""Long-tailed image recognition: the papers' methods, one engine, and a search that can be believed.

`METHODS` holds ltray's methods by name; `Method`, `Stage` and `View` are what a method of your own is made of;
`SearchSpace` reads a search-space file. Each is loaded when it is first used: `import ltray` imports no torch.
"""

from typing import TYPE_CHECKING

from ltray.lazy_names import exports

if TYPE_CHECKING:
    from ltray.errors import UsageError as UsageError
    from ltray.methods import METHODS as METHODS
    from ltray.space.search_space import SearchSpace as SearchSpace
    from ltray.stage import Method as Method
    from ltray.stage import Stage as Stage
    from ltray.stage import View as View
else:
    __getattr__, __dir__ = exports(__name__)

__version__ = "0.1.0"
