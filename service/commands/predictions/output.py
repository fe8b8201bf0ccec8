"""Puts predictions into a file, which is whole at the end or as it was before."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from service.commands.predictions.formats import CsvFormat, Format, JsonFormat, JsonLinesFormat, ParquetFormat
from service.commands.session import CommandError

FORMATS: dict[str, type[Format]] = {
    ".csv": CsvFormat,
    ".parquet": ParquetFormat,
    ".jsonl": JsonLinesFormat,
    ".json": JsonFormat,
}


def check_output(output: Path, source: Path) -> None:
    """CommandError where `output` can't be what predictions are written to."""
    if output.suffix.lower() not in FORMATS:
        raise CommandError(f"'{output}' must end in {', '.join(FORMATS)}: its ending says how to write predictions.")
    if output.is_dir():
        raise CommandError(f"'{output}' is a directory. Choose a file with -o.")
    if output.exists() and source.exists() and output.samefile(source):
        raise CommandError(f"'{output}' holds the rows to predict. Choose another file with -o.")


@contextmanager
def open_output(output: Path) -> Iterator[Format]:
    """What answers are written to; `output` is there, or replaced, once all of them are."""
    part = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        try:
            with part.open("xb") as file, closing(FORMATS[output.suffix.lower()](file)) as written:
                yield written
            part.replace(output)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise CommandError(f"{output} can't be written: {reason}. Choose another file with -o.") from None
