"""Which classes a model takes for which: a table of rows by true and predicted class, coloured by share."""

import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from service.plots.labels import cut, fonts, labels_of, width

INK, FAINT, NOTHING = "#333333", "#dddddd", "#f0f0f0"
BLUES = LinearSegmentedColormap.from_list("shares", ["#ffffff", "#d3dff1", "#6f97cf", "#1f4e9c"])
SHARES = BLUES.with_extremes(bad=NOTHING)
SCALE = PowerNorm(0.5, vmin=0, vmax=1)
"""The root: a share of 5 % can be seen, and mistakes are what one looks for."""
DARK = 0.4
"""From this share on, numbers are written in white."""
MOST_CLASSES_WITH_NUMBERS = 25
MOST_CLASSES_WITH_ZEROS = 5
POINTS_PER_INCH = 72
LETTER = 0.6
"""How wide a narrow letter is, of its size."""
BOLD_LETTER = 0.72
SMALLEST_WHOLE, LARGEST_WHOLE = 100, 10_000
"""Between these, numbers are written without a fraction; beyond, with three digits and a letter."""
THOUSANDS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


class Confusion(NamedTuple):
    """What is drawn. `matrix[true][predicted]` counts rows, or sums their weights."""

    matrix: Sequence[Sequence[float]]
    labels: Sequence[object]
    title: str
    subtitle: str
    """Which rows these are."""


class Layout(NamedTuple):
    """Sizes for a number of classes: of a cell in inches, of labels and numbers in points."""

    cell: float
    label: float
    longest_label: int


def confusion_plot(confusion: Confusion) -> bytes:
    """A PNG of the matrix; its numbers are written where there are few classes."""
    matrix = np.array(confusion.matrix, np.float64)
    layout = _layout(len(matrix))
    labels = labels_of(confusion.labels, layout.longest_label)
    figure, axes = _figure(len(matrix), layout, labels)
    image = axes.imshow(_shares(matrix), cmap=SHARES, norm=SCALE, interpolation="nearest")
    _draw_labels(axes, labels, layout)
    if len(matrix) <= MOST_CLASSES_WITH_NUMBERS:
        _draw_numbers(axes, matrix, layout)
    _draw_scale(figure, axes, image)
    _draw_titles(figure, axes, confusion)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _layout(n_classes: int) -> Layout:
    if n_classes <= 5:  # noqa: PLR2004 - few enough to fill the picture with large cells
        return Layout(0.85, 10, 22)
    if n_classes <= MOST_CLASSES_WITH_NUMBERS:
        return Layout(max(0.38, 5.5 / n_classes), 9, 18)
    return Layout(max(0.115, 9 / n_classes), min(8.0, 640 / n_classes), 16)


def _figure(n_classes: int, layout: Layout, labels: Sequence[str]) -> tuple[Figure, Axes]:
    """As large as the cells, the labels and the titles need; at least as wide as the titles."""
    longest = max(width(label) for label in labels) * layout.label * LETTER / POINTS_PER_INCH
    side = n_classes * layout.cell
    left, bottom, top, right = longest + 0.55, _height_of_labels(layout, labels) + 0.5, 0.85, 1.05
    total_width, total_height = max(left + side + right, 4.6), bottom + side + top
    figure = Figure(figsize=(total_width, total_height), dpi=144, facecolor="white")
    FigureCanvasAgg(figure)
    box = (left / total_width, bottom / total_height, side / total_width, side / total_height)
    return figure, figure.add_axes(box)


def _are_upright(layout: Layout, labels: Sequence[str]) -> bool:
    """Whether the labels below the columns are too wide to stand beside each other."""
    longest = max(width(label) for label in labels) * layout.label * LETTER / POINTS_PER_INCH
    return longest > 0.9 * layout.cell


def _height_of_labels(layout: Layout, labels: Sequence[str]) -> float:
    letters = max(width(label) for label in labels) * LETTER if _are_upright(layout, labels) else 1.0
    return letters * layout.label / POINTS_PER_INCH


def _shares(matrix: NDArray[Any]) -> NDArray[Any]:
    """Each row divided by its sum; NaN where a class has no rows."""
    sums = matrix.sum(axis=1, keepdims=True)
    shares: NDArray[Any] = np.divide(matrix, sums, out=np.full_like(matrix, np.nan), where=sums > 0)
    return shares


def _draw_labels(axes: Axes, labels: Sequence[str], layout: Layout) -> None:
    style: dict[str, Any] = {"fontsize": layout.label, "color": INK, "fontfamily": list(fonts()), "parse_math": False}
    places = range(len(labels))
    axes.set_xticks(places, labels, rotation=90 if _are_upright(layout, labels) else 0, **style)
    axes.set_yticks(places, labels, **style)
    axes.set_xlabel("predicted class", fontsize=10, color=INK)
    axes.set_ylabel("true class", fontsize=10, color=INK)
    axes.tick_params(length=0)
    axes.set_xticks([place - 0.5 for place in range(len(labels) + 1)], minor=True)
    axes.set_yticks([place - 0.5 for place in range(len(labels) + 1)], minor=True)
    axes.grid(which="minor", color=FAINT, linewidth=min(0.8, 2 * layout.cell))
    axes.tick_params(which="minor", length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _draw_numbers(axes: Axes, matrix: NDArray[Any], layout: Layout) -> None:
    texts = [[_number(value) for value in row] for row in matrix.tolist()]
    longest = max(len(text) for row in texts for text in row)
    size = min(layout.label + 1, 0.92 * layout.cell * POINTS_PER_INCH / (LETTER * longest))
    for (row, column), share in np.ndenumerate(_shares(matrix)):
        if matrix[row, column] or len(matrix) <= MOST_CLASSES_WITH_ZEROS:
            color = "white" if share >= DARK else INK
            axes.text(column, row, texts[row][column], ha="center", va="center", fontsize=size, color=color)


def _draw_scale(figure: Figure, axes: Axes, image: AxesImage) -> None:
    box = axes.get_position()
    inch = 1 / figure.get_figwidth()
    scale = figure.colorbar(image, cax=figure.add_axes((box.x1 + 0.18 * inch, box.y0, 0.14 * inch, box.height)))
    scale.set_ticks([0, 0.05, 0.2, 0.5, 1], labels=["0 %", "5 %", "20 %", "50 %", "100 %"])
    scale.ax.tick_params(length=0, labelsize=8, colors=INK)
    scale.set_label("share of the true class", fontsize=8, color=INK)
    scale.outline.set_visible(False)


def _draw_titles(figure: Figure, axes: Axes, confusion: Confusion) -> None:
    inch = 1 / figure.get_figheight()
    top, left = axes.get_position().y1, 0.12 / figure.get_figwidth()
    style: dict[str, Any] = {"color": INK, "fontfamily": list(fonts()), "parse_math": False, "ha": "left"}
    title = cut(confusion.title, int(figure.get_figwidth() * POINTS_PER_INCH / (12 * BOLD_LETTER)))
    figure.text(left, top + 0.42 * inch, title, fontsize=12, fontweight="bold", **style)
    figure.text(left, top + 0.17 * inch, confusion.subtitle, fontsize=9, **style)


def _number(value: float) -> str:
    """`0`, `1,234`, `12.3k`; weights with two or three digits."""
    if value < LARGEST_WHOLE:
        return f"{value:,.0f}" if value == int(value) or value >= SMALLEST_WHOLE else f"{value:.2g}"
    unit, letter = next((pair for pair in THOUSANDS if value >= pair[0]), (1.0, ""))
    return f"{value / unit:.3g}{letter}"
