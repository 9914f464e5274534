"""t-SNE of the features of training and evaluated images, in one projection."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ltray.evaluation.analysis import Analysis, Found
from ltray.evaluation.features import evaluated_features, training_features
from ltray.evaluation.figures import TEN, new_figure
from ltray.evaluation.subject import Subject
from ltray.figures.style import TWO_COLUMNS, name_text, paper_style

CLASSES = len(TEN)
OF_A_CLASS = 100  # images of a class in each set
COMPONENTS = 50  # principal components on which t-SNE works
PERPLEXITY = 30.0
SEED = 0


def tsne(subject: Subject) -> Found:
    """Project the features of up to ten classes, from the most frequent to the rarest, to two dimensions."""
    import pandas as pd

    shown = shown_classes(subject.by_frequency)
    trained, trained_labels = training_features(subject)
    sets = {
        "train": (trained, trained_labels),
        subject.predictions.split: (evaluated_features(subject), subject.predictions.labels),
    }
    rows = {name: _sample(labels, shown) for name, (_, labels) in sets.items()}
    features = torch.cat([sets[name][0][own] for name, own in rows.items()])
    perplexity = min(PERPLEXITY, max(1.0, (len(features) - 1) / 3))
    places = project(features, perplexity)
    names = subject.class_names
    labels = torch.cat([sets[name][1][own] for name, own in rows.items()])
    table = pd.DataFrame(
        {
            "set": [name for name, own in rows.items() for _ in own],
            "position": torch.cat(list(rows.values())).numpy(),
            "class": [names[label] for label in labels.tolist()],
            "x": places[:, 0],
            "y": places[:, 1],
        }
    )
    values = {
        "classes": [names[label] for label in shown],
        "images": {name: len(own) for name, own in rows.items()},
        "images_of_a_class_at_most": OF_A_CLASS,
        "perplexity": perplexity,
        "seed": SEED,
        "features": "of the backbone, scaled to unit length, first 50 principal components",
    }
    return Found(values, {"tsne": table}, {"tsne": lambda: _figure(subject, table, shown)})


def _line(values: Mapping[str, Any]) -> str:
    return f"{sum(values['images'].values()):,} images of {len(values['classes'])} classes"


TSNE = Analysis("tsne", "features of training and evaluated images in two dimensions", tsne, _line, needs_images=True)


def shown_classes(by_frequency: list[int]) -> list[int]:
    """Return at most ten classes at equal distances in the order of frequency, with the first and the last."""
    places = np.unique(np.linspace(0, len(by_frequency) - 1, min(CLASSES, len(by_frequency))).round().astype(int))
    return [by_frequency[place] for place in places]


def project(features: Tensor, perplexity: float) -> Any:
    """Return positions (N, 2) of rows (N, d); the same for the same rows."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE as SklearnTSNE

    values = features.double().numpy()
    components = min(COMPONENTS, *values.shape)
    if components < values.shape[1]:
        values = PCA(components, random_state=SEED).fit_transform(values)
    method = SklearnTSNE(perplexity=perplexity, init="pca" if values.shape[1] > 1 else "random", random_state=SEED)
    return method.fit_transform(values)


def _sample(labels: Tensor, shown: list[int]) -> Tensor:
    """Return positions of at most `OF_A_CLASS` images of each shown class."""
    random = torch.Generator().manual_seed(SEED)
    found = []
    for label in shown:
        own = (labels == label).nonzero().flatten()
        found.append(own[torch.randperm(len(own), generator=random)[:OF_A_CLASS]].sort().values)
    return torch.cat(found)


def _figure(subject: Subject, table: Any, shown: list[int]) -> Any:
    titles = {"train": "training images", "test": "test images", "val": "validation images"}
    with paper_style():
        figure = new_figure(TWO_COLUMNS, 3.1)
        panels = figure.subplots(1, 2, sharex=True, sharey=True)
        counts, groups = subject.tail.counts, subject.tail.group_of()
        for axes, name in zip(panels, ("train", subject.predictions.split), strict=True):
            own = table[table["set"] == name]
            for colour, label in zip(TEN, shown, strict=False):
                points = own[own["class"] == subject.class_names[label]]
                text = f"{name_text(subject.class_names[label], 14)} ({groups[label]}, {counts[label]:,})"
                axes.scatter(points["x"], points["y"], s=5, color=colour, linewidths=0, alpha=0.8, label=text)
            axes.set_title(titles[name])
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(True)
        handles, texts = panels[0].get_legend_handles_labels()
        figure.legend(handles, texts, loc="outside right center", markerscale=2, handletextpad=0.1)
        return figure
