"""A classifier that is trained step by step, and the figure of how it gets on.

It is trained by stochastic gradient descent on random Fourier features, which
let a linear classifier separate by curves.

Sources: Rahimi and Recht 2007, Advances in Neural Information Processing Systems 20 (the features);
Bottou 2010, doi:10.1007/978-3-7908-2604-3_16 (the descent).
"""

import io
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from gallery.dark import darken

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEATURES, GAMMA = 150, 0.4
GRID = 60
DOT_COLOURS = ("#1d4ed8", "#f59e0b", "#64748b")
REGION_COLOURS = ("#dbeafe", "#fef3c7", "#e2e8f0")
INK, QUIET, PALE = "#0f172a", "#64748b", "#cbd5e1"
FONT_SIZE = 14  # Of a picture 576 points wide.


class Dataset(StrEnum):
    """The real data that scikit-learn brings along."""

    IRIS = "iris"
    WINE = "wine"
    BREAST_CANCER = "breast_cancer"


class Training:
    """A training in epochs, on the two principal components of a data set.

    Attributes:
        losses, accuracies, held_out: After each epoch: the mean log loss and the accuracy on
            the points that it learns from, and the accuracy on the others.
    """

    def __init__(self, dataset: Dataset, seed: int) -> None:
        # Not above: scikit-learn takes more than a second to import, which the site's start
        # need not wait for, and only the sessions that train need its memory.
        from sklearn import datasets
        from sklearn.decomposition import PCA
        from sklearn.kernel_approximation import RBFSampler
        from sklearn.linear_model import SGDClassifier
        from sklearn.model_selection import train_test_split
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        load = getattr(datasets, f"load_{dataset}")
        samples, labels = load(return_X_y=True)
        known, unknown, self.labels, self.held_out_labels = train_test_split(
            samples, labels, test_size=0.25, random_state=seed, stratify=labels
        )
        # Made from the known points alone: the others are to be new to everything.
        flatten = make_pipeline(StandardScaler(), PCA(2), StandardScaler()).fit(known)
        self.points, self.held_out_points = flatten.transform(known), flatten.transform(unknown)
        self._classes = np.unique(labels)
        self._features = RBFSampler(gamma=GAMMA, n_components=FEATURES, random_state=seed)
        self._features.fit(self.points)
        self._classifier = SGDClassifier(
            loss="log_loss", learning_rate="constant", eta0=0.01, random_state=seed
        )
        self.losses: list[float] = []
        self.accuracies: list[float] = []
        self.held_out: list[float] = []

    def learn(self, rate: float) -> None:
        """Go once through all points, each of which moves the classifier by a learning rate."""
        from sklearn.metrics import log_loss

        features = self._features.transform(self.points)
        self._classifier.set_params(eta0=rate)
        self._classifier.partial_fit(features, self.labels, self._classes)
        chances = self._classifier.predict_proba(features)
        self.losses.append(float(log_loss(self.labels, chances, labels=self._classes)))
        self.accuracies.append(self._accuracy(self.points, self.labels))
        self.held_out.append(self._accuracy(self.held_out_points, self.held_out_labels))

    def _accuracy(self, points: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
        return float(np.mean(self.classify(points) == labels))

    def classify(self, points: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the class of each point."""
        found: NDArray[np.int64] = self._classifier.predict(self._features.transform(points))
        return found

    def weights(self) -> bytes:
        """Return what it has learned as a NumPy archive: the classifier's weights, and those of the
        random features that they are for."""
        file = io.BytesIO()
        np.savez(
            file,
            classes=self._classes,
            coefficients=self._classifier.coef_,
            intercepts=self._classifier.intercept_,
            feature_weights=self._features.random_weights_,
            feature_offsets=self._features.random_offset_,
        )
        return file.getvalue()

    def leads(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return by how much each class is ahead of the best other one, shape (n, classes)."""
        chances = self._classifier.predict_proba(self._features.transform(points))
        others = [np.delete(chances, index, axis=1).max(axis=1) for index in self._classes]
        ahead: NDArray[np.float64] = chances - np.stack(others, axis=1)
        return ahead


def draw_training(training: Training, epochs: int) -> "Figure":
    """Draw the regions of the classes, the loss and the accuracy as a matplotlib figure."""
    # Not pyplot: it keeps its figures, and is not for threads.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplot_mosaic("RL;RA", width_ratios=[3, 2])
    draw_regions(axes["R"], training)
    _draw_curves(axes["L"], _("Loss"), epochs, {"": training.losses})
    axes["L"].set_ylim(0, max(1.2, *training.losses))
    curves = {_("trained"): training.accuracies, _("held out"): training.held_out}
    _draw_curves(axes["A"], _("Accuracy"), epochs, curves)
    axes["A"].set_ylim(0, 1.05)
    axes["A"].legend(loc="lower right", frameon=False, fontsize=FONT_SIZE, labelcolor=INK)
    return darken(figure)


def draw_regions(axes: "Axes", training: Training, grid: int = GRID) -> None:
    """Draw what the classifier takes a point for, and the points: rings are those held out."""
    low, high = training.points.min(axis=0) - 0.4, training.points.max(axis=0) + 0.4
    x, y = (np.linspace(low[side], high[side], grid) for side in (0, 1))
    places = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    for index, lead in enumerate(training.leads(places).T):
        colour = REGION_COLOURS[index]
        axes.contourf(x, y, lead.reshape(grid, grid), [0, np.inf], colors=[colour])
    for index, colour in enumerate(DOT_COLOURS):
        for points, labels, inside in (
            (training.points, training.labels, colour),
            (training.held_out_points, training.held_out_labels, "white"),
        ):
            axes.plot(
                *points[labels == index].T, "o", markersize=5, color=colour, markerfacecolor=inside
            )
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    axes.set_axis_off()


def _draw_curves(axes: "Axes", title: str, epochs: int, curves: dict[str, list[float]]) -> None:
    for (label, values), colour in zip(curves.items(), DOT_COLOURS, strict=False):
        axes.plot(range(1, len(values) + 1), values, color=colour, linewidth=2.5, label=label)
    axes.set_title(title, fontsize=FONT_SIZE, color=INK)
    axes.set_xlim(1, max(epochs, 2))
    axes.tick_params(labelsize=FONT_SIZE - 1, labelcolor=QUIET, color=QUIET)
    axes.locator_params(nbins=4)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(PALE)
