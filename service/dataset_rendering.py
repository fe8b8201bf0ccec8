"""How datasets, and files that may become one, look on a terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from service.connection import Answer
from service.rendering import Row, figure, moment, new_table, printable, show_pairs, status_text

MOST_COLUMNS = 20


def show_dataset(console: Console, dataset: Answer) -> None:
    """A dataset, and what was understood of its columns."""
    error, progress = dataset["error"], dataset["progress"]
    rows: list[Row] = [("id", dataset["id"]), ("status", status_text(dataset["status"]))]
    rows += [("progress", f"{printable(progress['phase'])}: {amount(progress)}")] if progress else []
    if dataset["rows"] is not None:
        rows += [("rows", f"{dataset['rows']:,}"), ("columns", f"{len(dataset['columns']):,}")]
    if dataset["rejected_rows"]:
        rows.append(("rejected rows", f"{dataset['rejected_rows']:,}"))
    if dataset["sha256"] is not None:
        rows += [("bytes", f"{dataset['bytes']:,}"), ("sha256", dataset["sha256"])]
    rows += [("from", dataset["source"]["uri"])] if "uri" in dataset["source"] else []
    rows += [("created", moment(dataset["created_at"]))]
    rows += [("error", error["message"])] if error else []
    show_pairs(console, f"Dataset {dataset['name']}@{dataset['version']}", rows)
    if dataset["columns"]:
        console.print(_columns_table(dataset["columns"]))


def amount(progress: Answer) -> str:
    """`41 %, 1.6 GB of 4.0 GB`; only how much is done where it is not known of how much."""
    of, done = progress["of"], progress["done"]
    if of is None:
        return _figure(done, progress["unit"])
    return f"{100 * done // max(of, 1)} %, {_figure(done, progress['unit'])} of {_figure(of, progress['unit'])}"


def _figure(number: int, unit: str) -> str:
    return decimal(number) if unit == "bytes" else f"{number:,} {unit}"


def show_preview(console: Console, preview: Answer) -> None:
    """What would be understood of a file, or what stands in the way."""
    written = {"\t": "tab"}.get(preview["delimiter"], preview["delimiter"])
    looked_at = f"{preview['rows_looked_at']:,} ({'all' if preview['whole_file'] else 'the beginning'})"
    rows: list[Row] = [("format", preview["format"] + (" in gzip" if preview["gzip"] else ""))]
    rows += [("delimiter", written), ("decimal", preview["decimal"])] if preview["format"] == "csv" else []
    rows += [("rows looked at", looked_at)]
    if preview["rejected_rows"]:
        rows.append(("left out", f"{preview['rejected_rows']:,} of these, which can't be used (on_bad_rows: skip)"))
    problems: list[Row] = [("problem", problem) for problem in preview_problems(preview)]
    title = "would not be accepted as it is" if problems else "would be understood so"
    show_pairs(console, f"{preview['name']} {title}; nothing was added", rows + problems)
    table = new_table("column", "type", "missing", "first values")
    for column in preview["columns"][:MOST_COLUMNS]:
        cells = (printable(column["name"]), column["type"] or "?", figure(column["nulls"]), _samples(column["samples"]))
        table.add_row(*(Text(cell) for cell in cells))
    _say_more(table, preview["columns"])
    console.print(table)


def preview_problems(preview: Answer) -> list[str]:
    """What would stand in the way of the file."""
    return [column["problem"] for column in preview["columns"] if column["problem"]]


def _samples(samples: Sequence[str | None]) -> str:
    """`"1,5"  "a"  –`: in quotes, as values may have blanks and commas in them, and a dash where one is missing."""
    return "  ".join("–" if value is None else f'"{printable(value)}"' for value in samples)


def _columns_table(columns: Sequence[Answer]) -> Table:
    table = new_table("column", "type", "min", "max", "mean", "missing", "categories")
    for column in columns[:MOST_COLUMNS]:
        numbers = [figure(column.get(name)) for name in ("min", "max", "mean", "nulls")]
        categories = column.get("categories")
        shown = "–" if categories is None else f"{len(categories)}: {printable(', '.join(categories))[:40]}"
        table.add_row(*(Text(cell) for cell in (printable(column["name"]), column["type"], *numbers, shown)))
    _say_more(table, columns)
    return table


def _say_more(table: Table, columns: Sequence[Answer]) -> None:
    if len(columns) > MOST_COLUMNS:
        table.add_row(Text(f"… {len(columns) - MOST_COLUMNS} more", "dim"))
