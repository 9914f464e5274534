"""The theory of the papers, measured on a trained model.

`measured` applies the others, which are pure functions:

* `balanced_bound`: the lower bound of BCL's loss.
* `centre_optima`: the optimum of PaCo's loss.
* `cluster_balance`: the use of DLSA's clusters.
* `decoupled_optima`: targets and gradients of DSCL's two kinds of positives.
* `measured`: the analyses of a trained model.
* `neural_collapse`: NC1 to NC3 by class.
* `pair_frequencies`: ResCom's map of pairs and its imbalance γ.
* `pair_gradients`: the gradient of each pair, by rank of its similarity.
* `separation`: DLSA's separation of head and tail with a given reliability.
* `simplex`: the regular simplex and the distance from it.
"""
