"""What a dataset looked like: rows, and for each column how its values are spread. Later data is compared with it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from workers.dataset import Column, read_columns, read_metadata
from workers.distinct import count_distinct, most_frequent
from workers.duplicates import words_of_rows
from workers.files import scratch_directory
from workers.selection import in_one_group, keys_of_numbers, numbers_of_keys, select
from workers.stored import spans

Array = npt.NDArray[Any]
Statistics = dict[str, Any]

N_BINS = 10
FEWEST_BINS = 5
MOST_CATEGORIES = 50


def statistics_of(columns: Sequence[Column], beside: Path | None = None) -> Statistics:
    """{"rows", "distinct_rows", "columns": [{"name", "type", "nulls", "counts", "edges" or "categories"}]}, as JSON.

    A number column has `edges`, bounds of bins that hold about equally many of its values, each with its upper bound; a
    category column its most frequent categories. `counts` has one more for all that is above or other, and a last one
    for missing values. Texts and dates are not counted. What is kept meanwhile lies in the directory `beside`.
    """
    with scratch_directory(beside) as scratch:
        return {
            "rows": len(columns[0].values),
            "distinct_rows": distinct_rows(columns, scratch),
            "columns": [_statistics(column, scratch) for column in columns],
        }


def read_whole(directory: Path) -> list[Column]:
    """Every column of a dataset, in its order."""
    names = [column["name"] for column in read_metadata(directory)["columns"]]
    return list(read_columns(directory, names).values())


def distinct_rows(columns: Sequence[Column], scratch: Path) -> int:
    """How many rows differ."""
    return count_distinct(words_of_rows(columns), len(columns[0].values), scratch)


def counts_as(described: Mapping[str, Any], column: Column) -> Array | None:
    """The counts of a column in the bins of an earlier one; None where they can't be compared."""
    if described["type"] != column.type or described["counts"] is None:
        return None
    if column.type == "number":
        edges = np.array(described["edges"], dtype=np.float64)
        places = (np.searchsorted(edges, block, side="left") for block in _present(column))
        counts = _counts(places, len(edges) + 1)
    else:
        known = {text: place for place, text in enumerate(described["categories"])}
        texts = () if column.categories is None else column.categories[:]
        other = np.array([known.get(text, len(known)) for text in texts], dtype=np.intp)
        counts = _counts((other[block] for block in _present(column)), len(known) + 1)
    return np.append(counts, column.count_missing())


def _statistics(column: Column, scratch: Path) -> Statistics:
    described: Statistics = {"name": column.name, "type": column.type, "nulls": column.count_missing(), "counts": None}
    if column.type == "number":
        described["edges"] = _edges(column, scratch)
    elif column.type == "category" and column.categories is not None:
        frequencies = _counts(_present(column), len(column.categories))
        places = np.argsort(-frequencies, kind="stable")[:MOST_CATEGORIES]
        described["categories"] = [column.categories[place] for place in places.tolist()]
    else:
        return described
    counts = counts_as(described | {"counts": []}, column)
    return described | {"counts": None if counts is None else counts.tolist()}


def _present(column: Column) -> Iterator[Array]:
    return (column.block(rows).present for rows in spans(len(column.values)))


def _counts(blocks: Iterable[Array], n_bins: int) -> Array:
    counts = np.zeros(n_bins, np.intp)
    for block in blocks:
        counts += np.bincount(block, minlength=n_bins)
    return counts


def _edges(column: Column, scratch: Path) -> list[float]:
    """The inner deciles; where one value fills several of them, also those of the other values."""
    n_values = len(column.values) - column.count_missing()
    if not n_values:
        return []
    edges = _deciles(lambda: _present(column), n_values)
    if len(edges) < FEWEST_BINS:
        common = most_frequent(_present(column), n_values, scratch)
        n_others = sum(int(np.count_nonzero(block != common)) for block in _present(column))
        others = _deciles(lambda: (block[block != common] for block in _present(column)), n_others)
        edges = np.union1d(edges, others)
    return [float(edge) for edge in edges]


def _deciles(blocks: Callable[[], Iterable[Array]], n_values: int) -> Array:
    """Values of the column itself, so that equal values are never torn apart by rounding."""
    if not n_values:
        return np.empty(0)
    levels = np.arange(1, N_BINS) / N_BINS
    places = np.maximum(np.ceil(n_values * levels - 1), 0).astype(np.intp)  # those of numpy's method inverted_cdf
    return np.unique(numbers_of_keys(select(in_one_group(blocks, keys_of_numbers), places[None, :]).keys[0]))
