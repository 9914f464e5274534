"""The analyses of `ltray.evaluate`: what a trained model does on a split, as data and as figures for a paper.

* `activation_maps`: class activation maps.
* `analyses`: the table of all analyses.
* `analysis`: the contract of an analysis.
* `by_class`: a figure with a value for each class.
* `calibration`: the reliability diagram.
* `command`: the analyses of one command.
* `confusion`: the confusion matrix.
* `difference`: two models on the same images.
* `embedding`: t-SNE of features.
* `features`: features of evaluated and training images.
* `figures`: the style of figures.
* `files`: the files of an evaluation.
* `findings`: the results of an evaluation in memory.
* `latency`: latency, throughput, number of parameters.
* `mistakes`: the most confident mistakes.
* `printed`: an evaluation on the terminal.
* `robustness`: errors on corrupted images.
* `run`: runs analyses, and continues after an interruption.
* `scores`: metrics with intervals.
* `similarity`: cosine similarity of positives.
* `subject`: the model, its predictions and the images.
"""
