"""Long-tailed image recognition: the papers' methods, one engine, and searches with honest statistics.

`train.run`, `tune.run`, `convert.run`, `evaluate.run`, `predict.run` and `export.run` are the functions of the commands
with these names; `load` opens their results. `METHODS` contains ltray's methods by name; `Method`, `Stage` and `View`
are the parts of a new method; `SearchSpace` reads a search-space file. `UsageError` is raised for a mistake,
`RunFailed` for a run that failed. Each name is loaded when it is used for the first time: `import ltray` imports no
torch. docs/python-api.md describes all names.
"""

from typing import TYPE_CHECKING

from ltray.lazy_names import exports

if TYPE_CHECKING:
    from ltray import convert as convert
    from ltray import evaluate as evaluate
    from ltray import export as export
    from ltray import predict as predict
    from ltray import train as train
    from ltray import tune as tune
    from ltray.errors import RunFailed as RunFailed
    from ltray.errors import UsageError as UsageError
    from ltray.methods import METHODS as METHODS
    from ltray.results.loaded_run import LoadedRun as LoadedRun
    from ltray.results.loaded_run import load as load
    from ltray.space.search_space import SearchSpace as SearchSpace
    from ltray.stage import Method as Method
    from ltray.stage import Stage as Stage
    from ltray.stage import View as View
else:
    __getattr__, __dir__ = exports(__name__)

__version__ = "0.1.0"
