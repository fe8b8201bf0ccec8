"""How predictions are written: CSV, Parquet, JSON lines, or JSON as the API gives it.

All but JSON have the columns of MLflow's frame: `prediction` (`prediction_<target>` for each of several targets), and
`probability_<class>`. Numbers are written in full: read again, they are the same bits.
"""

import csv
import io
import json
from typing import Any, BinaryIO, Protocol

import pyarrow as pa
import pyarrow.parquet

from service.client import joined
from service.commands.session import CommandError
from service.connection import Answer

ROWS_IN_A_GROUP = 2**16
MOST_JSON_ROWS = 100_000
"""One JSON object is made in memory."""


class Format(Protocol):
    """One way to write predictions to a file."""

    def __init__(self, file: BinaryIO) -> None:
        """Nothing is written yet."""

    def write(self, answer: Answer) -> None:
        """The next rows."""

    def close(self) -> None:
        """Write what belongs behind the last of them."""


def columns_of(answer: Answer) -> dict[str, list[Any]]:
    """An answer's predictions and probabilities as columns."""
    predictions, probabilities = answer["predictions"], answer["probabilities"] or []
    columns = {"prediction": predictions}
    if isinstance(predictions[0], dict):
        columns = {f"prediction_{name}": [found[name] for found in predictions] for name in predictions[0]}
    names = probabilities[0] if probabilities else []
    return columns | {f"probability_{name}": [likely[name] for likely in probabilities] for name in names}


def check_json_rows(n_rows: int) -> None:
    """CommandError where these are too many for one JSON object."""
    if n_rows > MOST_JSON_ROWS:
        raise CommandError(
            f"The file has more than {MOST_JSON_ROWS:,} rows, too many for one JSON object. "
            f"Write .csv, .parquet or .jsonl with -o."
        )


class CsvFormat(Format):
    """CSV in UTF-8 with a header."""

    def __init__(self, file: BinaryIO) -> None:
        self._text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        self._table = csv.writer(self._text, lineterminator="\n")
        self._has_header = False

    def write(self, answer: Answer) -> None:
        """The next rows."""
        columns = columns_of(answer)
        if not self._has_header:
            self._table.writerow(columns)
            self._has_header = True
        self._table.writerows(zip(*columns.values(), strict=True))

    def close(self) -> None:
        """Hand what is buffered to the file."""
        self._text.detach()


class JsonLinesFormat(Format):
    """An object for each row."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, answer: Answer) -> None:
        """The next rows."""
        columns = columns_of(answer)
        for values in zip(*columns.values(), strict=True):
            line = json.dumps(dict(zip(columns, values, strict=True)), ensure_ascii=False)
            self._file.write(f"{line}\n".encode())

    def close(self) -> None:
        """Nothing: the last line is an object too."""


class ParquetFormat(Format):
    """Parquet: whole numbers as int64, other numbers as float64, text as strings."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._writer: Any = None
        self._waiting: list[Any] = []  # requests are smaller than row groups should be
        self._n_waiting = 0

    def write(self, answer: Answer) -> None:
        """The next rows, once there are enough for a row group."""
        schema = None if self._writer is None else self._writer.schema
        table = pa.table(columns_of(answer), schema)
        if self._writer is None:
            self._writer = pyarrow.parquet.ParquetWriter(self._file, table.schema)
        self._waiting.append(table)
        self._n_waiting += table.num_rows
        if self._n_waiting >= ROWS_IN_A_GROUP:
            self._write_group()

    def close(self) -> None:
        """Write the last row group and the footer."""
        if self._waiting:
            self._write_group()
        if self._writer is not None:
            self._writer.close()

    def _write_group(self) -> None:
        self._writer.write_table(pa.concat_tables(self._waiting))
        self._waiting, self._n_waiting = [], 0


class JsonFormat(Format):
    """The API's answer, as if it had answered all rows at once."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._answers: list[Answer] = []
        self._rows = 0

    def write(self, answer: Answer) -> None:
        """Keep the next rows; CommandError where there are too many."""
        self._answers.append(answer)
        self._rows += len(answer["predictions"])
        check_json_rows(self._rows)

    def close(self) -> None:
        """Write everything that is kept."""
        if not self._answers:
            return
        text = json.dumps(joined(self._answers), indent=2, ensure_ascii=False)
        self._file.write(f"{text}\n".encode())
