"""Proposals of settings and early stopping of trials: samplers and stopping rules, by name.

* `densities`: probability densities of one parameter.
* `prior`: the sampler that starts around the papers' setting.
* `samplers`: samplers of settings by name.
* `stopping_rules`: early-stopping rules by name.
"""

from typing import TYPE_CHECKING

from ltray.lazy_names import exports

if TYPE_CHECKING:
    from ltray.strategies.prior import STRENGTHS as STRENGTHS
    from ltray.strategies.samplers import GIVEN as GIVEN
    from ltray.strategies.samplers import SAMPLERS as SAMPLERS
    from ltray.strategies.samplers import Proposal as Proposal
    from ltray.strategies.samplers import is_given as is_given
    from ltray.strategies.samplers import new_sampler as new_sampler
    from ltray.strategies.stopping_rules import STOPPING_RULES as STOPPING_RULES
    from ltray.strategies.stopping_rules import Rule as Rule
    from ltray.strategies.stopping_rules import SuccessiveHalving as SuccessiveHalving
    from ltray.strategies.stopping_rules import rules_with as rules_with
else:
    __getattr__, __dir__ = exports(__name__)
