"""The losses and the score of a job by epoch."""

import io
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from service.plots.labels import fonts

TRAINING, VALIDATION, SCORE = "#1f4e9c", "#d9652b", "#2f8f5b"
INK, FAINT = "#333333", "#dddddd"
MARGINS = {"left": 0.09, "right": 0.91, "bottom": 0.2, "top": 0.91}
"""Fixed: to fit them to the labels takes as long as the drawing."""
LOGARITHMIC_RATIO = 8
"""Losses that fall by this factor or more are shown on a logarithmic scale."""
SMALL, LARGE = 1e-3, 1e4
"""Losses outside these are labelled with a power of ten."""


class Curve(NamedTuple):
    """What is drawn: a list of numbers for each series, None where an epoch has none."""

    epochs: Sequence[int]
    loss: Sequence[float | None]
    validation_loss: Sequence[float | None]
    score: Sequence[float | None]
    score_name: str
    """`validation accuracy` or `validation R²`"""
    best_epoch: int | None


NOTHING = Curve((1,), (1.0,), (1.0,), (1.0,), "score", None)
"""To draw before the first job comes."""


def loss_curve(curve: Curve, title: str) -> bytes:
    """A PNG of training and validation loss by epoch, with the score on a second axis where there is one."""
    figure = Figure(figsize=(8, 4.5), dpi=144, facecolor="white")
    figure.subplots_adjust(**MARGINS)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    lines = _draw_losses(axes, curve)
    _style(axes, title)
    if any(value is not None for value in curve.score):
        lines.append(_draw_score(axes, curve))
    if lines:
        axes.legend(handles=lines, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=4, frameon=False, fontsize=9)
    image = io.BytesIO()
    figure.savefig(image, format="png")
    return image.getvalue()


def _draw_losses(axes: Axes, curve: Curve) -> list[Line2D]:
    """The two losses, and a dot at the best epoch of the one that is judged."""
    lines: list[Line2D] = []
    judged: dict[int, float] = {}
    color = TRAINING
    series = [("training loss", curve.loss, TRAINING), ("validation loss", curve.validation_loss, VALIDATION)]
    for name, values, own_color in series:
        epochs, numbers = _present(curve.epochs, values)
        if epochs:
            marker = "o" if len(epochs) == 1 else None
            lines += axes.plot(epochs, numbers, color=own_color, linewidth=1.8, label=name, marker=marker)
            judged, color = dict(zip(epochs, numbers, strict=True)), own_color
    best = curve.best_epoch
    if best in judged and best is not None:
        label = f"best: epoch {best}"
        lines += axes.plot([best], [judged[best]], "o", color=color, markersize=6, zorder=5, label=label)
    if _is_logarithmic([*curve.loss, *curve.validation_loss]):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(_number))
        axes.yaxis.set_minor_formatter(FuncFormatter(_few_numbers))
    return lines


def _draw_score(axes: Axes, curve: Curve) -> Line2D:
    right = axes.twinx()
    epochs, numbers = _present(curve.epochs, curve.score)
    (line,) = right.plot(epochs, numbers, color=SCORE, linewidth=1.4, linestyle=(0, (4, 1.5)), label=curve.score_name)
    lowest, highest = min(numbers), max(numbers)
    right.set_ylim(min(max(lowest, 0.0) if highest > 0 else lowest, 0.9), 1.0)
    right.set_ylabel(curve.score_name, color=SCORE, fontsize=9)
    right.tick_params(axis="y", colors=SCORE, length=0, labelsize=9)
    for side in ("top", "left", "right", "bottom"):
        right.spines[side].set_visible(False)
    return line


def _style(axes: Axes, title: str) -> None:
    font: dict[str, Any] = {"fontfamily": list(fonts()), "fontsize": 12, "fontweight": "bold", "color": INK}
    axes.set_title(title, loc="left", pad=10, parse_math=False, **font)
    axes.set_xlabel("epoch", fontsize=10, color=INK)
    axes.set_ylabel("loss", fontsize=10, color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.margins(x=0.01)
    axes.grid(visible=True, which="major", color=FAINT, linewidth=0.8)
    axes.grid(visible=True, which="minor", axis="y", color=FAINT, linewidth=0.3)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", length=0, colors=INK, labelsize=9)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)


def _present(epochs: Sequence[int], values: Sequence[float | None]) -> tuple[list[int], list[float]]:
    pairs = [(epoch, value) for epoch, value in zip(epochs, values, strict=True) if value is not None]
    return [epoch for epoch, _ in pairs], [value for _, value in pairs]


def _is_logarithmic(losses: Iterable[float | None]) -> bool:
    numbers = [loss for loss in losses if loss is not None]
    return bool(numbers) and min(numbers) > 0 and max(numbers) >= LOGARITHMIC_RATIO * min(numbers)


def _number(value: float, _place: int | None) -> str:
    return f"{value:g}" if SMALL <= value < LARGE else f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")


def _few_numbers(value: float, place: int | None) -> str:
    """Labels 2 and 5 between the powers of ten."""
    return _number(value, place) if f"{value:e}"[0] in "25" else ""
