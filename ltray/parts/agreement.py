"""Measures of the agreement of predictions and labels, in addition to accuracy, as DLSA reports them.

scikit-learn is imported in the functions: it takes seconds, and every training process imports this file.
"""

from torch import Tensor


def matthews_correlation(labels: Tensor, predictions: Tensor) -> float:
    """Return the multi-class Matthews correlation in [−1, 1]; 0 if predictions are constant.

    Args:
        labels: Class indices (N,).
        predictions: Predicted classes (N,).
    """
    from sklearn.metrics import matthews_corrcoef

    return float(matthews_corrcoef(labels.cpu().numpy(), predictions.cpu().numpy()))


def normalised_mutual_information(labels: Tensor, predictions: Tensor) -> float:
    """Return the mutual information divided by the mean of both entropies, in [0, 1].

    Args:
        labels: Class indices (N,).
        predictions: Predicted classes (N,).
    """
    from sklearn.metrics import normalized_mutual_info_score

    return float(normalized_mutual_info_score(labels.cpu().numpy(), predictions.cpu().numpy()))
