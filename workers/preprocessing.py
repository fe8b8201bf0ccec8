"""What a model does to raw columns before its first layer: fitted by `workers.fitting`, saved with the model."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class NumberFeature(NamedTuple):
    """A number column: one input, (x - mean) / std. `fill` takes the place of a missing x; None refuses it."""

    name: str
    mean: float
    std: float
    fill: float | None = None


class CategoryFeature(NamedTuple):
    """A category column: an input for each category (sorted by code point), and a last one for any other text.

    `fill` takes the place of a missing text; None refuses it.
    """

    name: str
    categories: tuple[str, ...]
    fill: str | None = None


class Preprocessing(NamedTuple):
    """The features, in the order of the inputs they become."""

    features: tuple[NumberFeature | CategoryFeature, ...]
    missing_markers: tuple[str, ...] = ()
    """Texts that stand for a missing value, beside null and NaN, where a feature fills them."""

    @property
    def n_inputs(self) -> int:
        """How many inputs the first layer has."""
        return sum(_width(feature) for feature in self.features)


def transform(preprocessing: Preprocessing, columns: Mapping[str, Array]) -> Array:
    """The inputs of the first layer, (rows, n_inputs) in float64; each row depends on nothing but itself.

    `columns` holds float64 numbers, and for a category column the positions in the feature's own categories, their
    number standing for unknown (`known_codes` and `text_codes` make them).
    """
    rows = len(next(iter(columns.values())))
    inputs = np.zeros((rows, preprocessing.n_inputs))
    first = 0
    for feature in preprocessing.features:
        column = columns[feature.name]
        if isinstance(feature, NumberFeature):
            inputs[:, first] = (column - feature.mean) / feature.std
        else:
            inputs[np.arange(rows), first + column] = 1.0
        first += _width(feature)
    return inputs


def known_codes(feature: CategoryFeature, codes: Array, categories: Sequence[str]) -> Array:
    """The positions in the feature's categories for positions in those of a dataset."""
    position = {text: code for code, text in enumerate(feature.categories)}
    unknown = len(feature.categories)
    return np.array([position.get(text, unknown) for text in categories], dtype=np.intp)[codes]


def text_codes(feature: CategoryFeature, texts: Sequence[str]) -> Array:
    """The positions in the feature's categories for texts as they stand in a dataset (trimmed, NFC)."""
    position = {text: code for code, text in enumerate(feature.categories)}
    unknown = len(feature.categories)
    return np.fromiter((position.get(text, unknown) for text in texts), dtype=np.intp, count=len(texts))


def to_json(preprocessing: Preprocessing) -> dict[str, Any]:
    """A JSON object that `from_json` reads back without loss."""
    return {
        "features": [_feature_to_json(feature) for feature in preprocessing.features],
        "missing_markers": list(preprocessing.missing_markers),
    }


def from_json(saved: Mapping[str, Any]) -> Preprocessing:
    """What `to_json` saved."""
    features = tuple(_feature_from_json(feature) for feature in saved["features"])
    return Preprocessing(features, tuple(saved.get("missing_markers", ())))


def _feature_to_json(feature: NumberFeature | CategoryFeature) -> dict[str, Any]:
    kind = "number" if isinstance(feature, NumberFeature) else "category"
    return {"type": kind, **feature._asdict()}


def _feature_from_json(saved: Mapping[str, Any]) -> NumberFeature | CategoryFeature:
    if saved["type"] == "number":
        fill = saved.get("fill")
        mean, std = float(saved["mean"]), float(saved["std"])
        return NumberFeature(saved["name"], mean, std, None if fill is None else float(fill))
    return CategoryFeature(saved["name"], tuple(saved["categories"]), saved.get("fill"))


def _width(feature: NumberFeature | CategoryFeature) -> int:
    return 1 if isinstance(feature, NumberFeature) else len(feature.categories) + 1
