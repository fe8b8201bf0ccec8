"""Finds the preprocessing of a model in the training rows, block by block; each block as often as it takes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .preprocessing import CategoryFeature, NumberFeature, Preprocessing
from .sums import Blocks, is_constant, mean_and_deviation


def fit(
    columns: Mapping[str, Blocks],
    categories: Mapping[str, Sequence[str]],
    *,
    standardize: bool,
    fills: Mapping[str, Any] | None = None,
    missing_markers: Sequence[str] = (),
    max_categories: int | None = None,
) -> tuple[Preprocessing, list[str]]:
    """The preprocessing of `columns`, in their order, and warnings about what the model can't learn from.

    A column that `categories` names holds positions in that list of texts; the others are float64. None has missing
    values any more: `fills` says what was put in their place (`workers.imputation`). Means
    and deviations are float64 (ddof 0). Categories with fewer than max(2, 0.1 % of) training rows are left out, so that
    they count as unknown in training and in prediction; so are the least frequent of more than `max_categories`.
    """
    features: list[NumberFeature | CategoryFeature] = []
    warnings = []
    for name, blocks in columns.items():
        if name in categories:
            feature, dropped, same = _fit_category(name, blocks, categories[name], max_categories)
            features.append(feature)
            warnings += [_about_dropped(feature, dropped)] if dropped else []
        else:
            number, same = _fit_number(name, blocks, standardize=standardize)
            features.append(number)
        if same:
            warnings.append(f"Column '{name}' has the same value in all training rows: the model can't learn from it.")
    filled = (feature._replace(fill=(fills or {}).get(feature.name)) for feature in features)
    return Preprocessing(tuple(filled), tuple(missing_markers)), warnings


def _fit_number(name: str, blocks: Blocks, *, standardize: bool) -> tuple[NumberFeature, bool]:
    """The feature, and whether all values are the same."""
    if standardize:
        mean, deviation = mean_and_deviation(name, blocks, "features")
        return NumberFeature(name, mean, deviation or 1.0), deviation == 0
    return NumberFeature(name, 0.0, 1.0), is_constant(blocks)


def _fit_category(
    name: str, blocks: Blocks, categories: Sequence[str], max_categories: int | None
) -> tuple[CategoryFeature, int, bool]:
    """The feature, how many categories it leaves out to have no more than `max_categories`, whether all rows have one.

    Positions are in the order of code points, so the sort, which is stable, puts the first by code point first on ties.
    """
    counts = np.zeros(len(categories), np.intp)
    for block in blocks():
        counts += np.bincount(block, minlength=len(categories))
    common = np.flatnonzero(counts >= max(2, 0.001 * counts.sum()))
    kept = common[np.argsort(-counts[common], kind="stable")][:max_categories]
    feature = CategoryFeature(name, tuple(sorted(categories[code] for code in kept.tolist())))
    return feature, len(common) - len(kept), np.count_nonzero(counts) == 1


def _about_dropped(feature: CategoryFeature, dropped: int) -> str:
    kept = len(feature.categories)
    return (
        f"Column '{feature.name}' has {kept + dropped} categories that are not rare, and preprocessing.max_categories "
        f"is {kept}: the {dropped} least frequent count as unknown."
    )
