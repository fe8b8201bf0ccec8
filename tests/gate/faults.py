"""Faults that nightly data has, planted in a clean file: each must be held by the check or stopped by the gate."""

from collections.abc import Callable

import numpy as np
import pandas as pd

Fault = Callable[[pd.DataFrame, str], str]
"""fault(clean data, target) → the file of the night, as text."""


def _text(data: pd.DataFrame) -> str:
    return data.to_csv(index=False)


def _widest(data: pd.DataFrame, target: str) -> str:
    """The number column that tells the most about the target, as far as a correlation can say."""
    numbers = data.drop(columns=target).select_dtypes("number")
    coded = data[target] if data[target].dtype.kind in "if" else pd.Series(pd.factorize(data[target])[0])
    varying = numbers.loc[:, numbers.nunique() > 2]
    return str(varying.corrwith(coded.reset_index(drop=True)).abs().idxmax())


def half_a_file(data: pd.DataFrame, _target: str) -> str:
    """The transfer broke off."""
    text = _text(data)
    return text[: len(text) // 2].rsplit("\n", 1)[0] + "\n"


def a_renamed_column(data: pd.DataFrame, target: str) -> str:
    """Somebody tidied the names."""
    column = _widest(data, target)
    return _text(data.rename(columns={column: column.upper() + "_2"}))


def doubled_rows(data: pd.DataFrame, _target: str) -> str:
    """The same export twice."""
    return _text(pd.concat([data, data]))


def another_unit(data: pd.DataFrame, target: str) -> str:
    """Millimetres instead of centimetres, say."""
    column = _widest(data, target)
    return _text(data.assign(**{column: data[column] * 10}))


def shuffled_labels(data: pd.DataFrame, target: str) -> str:
    """A join on the wrong key: every column for itself looks as always."""
    random = np.random.default_rng(5)
    return _text(data.assign(**{target: random.permutation(data[target].to_numpy())}))


def labels_a_third_of_which_are_wrong(data: pd.DataFrame, target: str) -> str:
    """A join that is mostly right: the new model is bad, and the champion worse."""
    random = np.random.default_rng(9)
    wrong, shuffled = random.random(len(data)) < 1 / 3, random.permutation(data[target].to_numpy())
    return _text(data.assign(**{target: np.where(wrong, shuffled, data[target])}))


def an_empty_column(data: pd.DataFrame, target: str) -> str:
    """A source that was not there."""
    return _text(data.assign(**{_widest(data, target): np.nan}))


def a_third_is_missing(data: pd.DataFrame, target: str) -> str:
    """A source that was not always there."""
    column, random = _widest(data, target), np.random.default_rng(6)
    return _text(data.assign(**{column: data[column].mask(random.random(len(data)) < 0.33)}))


def swapped_columns(data: pd.DataFrame, target: str) -> str:
    """The header of another version of the export."""
    first = _widest(data, target)
    second = _widest(data.drop(columns=first), target)
    if np.allclose(data[first].mean(), data[second].mean(), rtol=0.2):
        second = str(data.drop(columns=target).select_dtypes("number").mean().idxmin())
    return _text(data.assign(**{first: data[second], second: data[first]}))


def a_constant_target(data: pd.DataFrame, target: str) -> str:
    """A default instead of the label."""
    return _text(data.assign(**{target: data[target].iloc[0]}))


def another_sign(data: pd.DataFrame, target: str) -> str:
    """Debits as credits."""
    column = _widest(data, target)
    return _text(data.assign(**{column: -data[column]}))


def other_labels(data: pd.DataFrame, target: str) -> str:
    """Classes in another spelling, or a target in another unit."""
    values = data[target]
    changed = values.str.swapcase() if values.dtype.kind not in "if" else values + 100
    return _text(data.assign(**{target: changed}))


def only_one_kind(data: pd.DataFrame, target: str) -> str:
    """A filter that was left on: only rows with high values."""
    column = _widest(data, target)
    return _text(data[data[column] >= data[column].quantile(0.3)])


FAULTS: tuple[Fault, ...] = (
    half_a_file, a_renamed_column, doubled_rows, another_unit, shuffled_labels,
    labels_a_third_of_which_are_wrong, an_empty_column, a_third_is_missing,
    swapped_columns, a_constant_target, another_sign, other_labels, only_one_kind,
)  # fmt: skip
