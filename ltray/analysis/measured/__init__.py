"""The analyses of a trained model: each measures a quantity, sets it beside its theory and draws a figure.

* `bound`: BCL's lower bound, and the distance from the regular simplex.
* `centres`: the optimum of PaCo's loss.
* `clusters`: the use of DLSA's clusters.
* `collapse`: neural collapse by group of classes.
* `frequencies`: the map of pairs and γ.
* `gradients`: the gradient by rank of similarity.
* `positives`: DSCL's probabilities and gradients of positives.
* `result`: what an analysis returns.
* `separation`: DLSA's separation of head and tail.
* `subject`: the trained model, its features, and the pairs of real batches.
"""
