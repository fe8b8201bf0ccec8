"""The rows of the cases as files: the CSV that is sent to the service, and arrays for the other systems."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

from tests.benchmarks.cases import DIRECTORY, TARGET, inputs_of, rows_of


def prepare(rows_name: str) -> Path:
    """The CSV file of the rows, made with their arrays beside it where it is not there yet."""
    directory = DIRECTORY / "data" / rows_name
    file = directory / "rows.csv"
    if file.exists():
        return file
    unfinished = directory.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    X, y = rows_of(rows_name)
    np.save(unfinished / "X.npy", inputs_of(X))
    np.save(unfinished / "y.npy", y)
    columns = {f"x{place}": pa.array(values) for place, values in enumerate(X.T)}
    csv.write_csv(pa.table({**columns, TARGET: pa.array(y)}), unfinished / file.name)
    unfinished.rename(directory)
    return file
