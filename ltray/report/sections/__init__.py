"""The sections of a report, in their order: each has a module with its values and a template with its text.

* `answer`: the answer in sentences.
* `calibration`: confidence and accuracy.
* `classes`: accuracy of groups and classes.
* `confusion`: which classes are confused.
* `contour`: two knobs together.
* `cost`: hours used.
* `curves`: learning curves.
* `examples`: predictions with pictures.
* `explored`: the explored knobs.
* `finalists`: settings trained again on new seeds.
* `fronts`: Pareto fronts.
* `glossary`: the terms.
* `importance`: hyperparameter importance.
* `methods`: methods compared.
* `overview`: several runs compared.
* `parallel`: the settings of each trial as lines.
* `progress`: the course of a search.
* `provenance`: versions, data, seeds, configuration.
* `published`: published figures.
* `reproduce`: the commands that repeat the run.
* `slices`: accuracy over each knob.
* `stopping`: early stopping.
* `tau`: the effect of τ.
* `training_views`: what the method sees.
* `trials`: the table of trials.
"""
