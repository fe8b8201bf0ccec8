"""What a dataset looked like: rows, and for each column how its values are spread. Later data is compared with it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from workers.dataset import Column, read_columns, read_metadata
from workers.duplicates import words_of_rows

Array = npt.NDArray[Any]
Statistics = dict[str, Any]

N_BINS = 10
FEWEST_BINS = 5
MOST_CATEGORIES = 50


def statistics_of(columns: Sequence[Column]) -> Statistics:
    """{"rows", "distinct_rows", "columns": [{"name", "type", "nulls", "counts", "edges" or "categories"}]}, as JSON.

    A number column has `edges`, bounds of bins that hold about equally many of its values, each with its upper bound; a
    category column its most frequent categories. `counts` has one more for all that is above or other, and a last one
    for missing values. Texts and dates are not counted.
    """
    return {
        "rows": len(columns[0].values),
        "distinct_rows": distinct_rows(columns),
        "columns": [_statistics(column) for column in columns],
    }


def read_whole(directory: Path) -> list[Column]:
    """Every column of a dataset, in its order."""
    names = [column["name"] for column in read_metadata(directory)["columns"]]
    return list(read_columns(directory, names).values())


def distinct_rows(columns: Sequence[Column]) -> int:
    """How many rows differ."""
    return len(np.unique(words_of_rows(columns)))


def nulls(column: Column) -> int:
    """How many values are missing."""
    return 0 if column.missing is None else int(np.count_nonzero(column.missing))


def counts_as(described: Mapping[str, Any], column: Column) -> Array | None:
    """The counts of a column in the bins of an earlier one; None where they can't be compared."""
    if described["type"] != column.type or described["counts"] is None:
        return None
    present = column.values if column.missing is None else column.values[~column.missing]
    if column.type == "number":
        edges = np.array(described["edges"], dtype=np.float64)
        counts = np.bincount(np.searchsorted(edges, present, side="left"), minlength=len(edges) + 1)
    else:
        known = {text: place for place, text in enumerate(described["categories"])}
        places = np.array([known.get(text, len(known)) for text in column.categories or ()], dtype=np.intp)
        counts = np.bincount(places[present], minlength=len(known) + 1)
    return np.append(counts, nulls(column))


def _statistics(column: Column) -> Statistics:
    described: Statistics = {"name": column.name, "type": column.type, "nulls": nulls(column), "counts": None}
    present = column.values if column.missing is None else column.values[~column.missing]
    if column.type == "number":
        described["edges"] = _edges(present)
    elif column.type == "category":
        frequencies = np.bincount(present, minlength=len(column.categories or ()))
        places = np.argsort(-frequencies, kind="stable")[:MOST_CATEGORIES]
        described["categories"] = [(column.categories or ())[place] for place in places.tolist()]
    else:
        return described
    counts = counts_as(described | {"counts": []}, column)
    return described | {"counts": None if counts is None else counts.tolist()}


def _edges(values: Array) -> list[float]:
    """The inner deciles; where one value fills several of them, also those of the other values."""
    if not len(values):
        return []
    edges = _deciles(values)
    if len(edges) < FEWEST_BINS:
        distinct, frequencies = np.unique(values, return_counts=True)
        others = values[values != distinct[frequencies.argmax()]]
        edges = np.union1d(edges, _deciles(others)) if len(others) else edges
    return [float(edge) for edge in edges]


def _deciles(values: Array) -> Array:
    """Values of the column itself, so that equal values are never torn apart by rounding."""
    levels = np.arange(1, N_BINS) / N_BINS
    return np.unique(np.quantile(values, levels, method="inverted_cdf"))
