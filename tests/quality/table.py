"""What the models of one case are worth over several splits, and the table of that in docs/MODELS.md."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.quality import gradsum, peers
from tests.quality.cases import PROJECT, Case
from tests.quality.gradsum import Outcome

PAGE = PROJECT / "docs" / "MODELS.md"
BEGIN, END = "<!-- made by `make quality` -->\n", "<!-- end -->\n"
HEADINGS = ("data", "rows", "score", "Gradsum", "linear", "boosted trees", "− linear", "− trees", "trained in")


class Row(NamedTuple):
    """The outcomes of a case, a split at each place."""

    case: str
    rows: int
    is_classification: bool
    gradsum: list[Outcome]
    linear: list[Outcome]
    trees: list[Outcome]


def measured(case: Case, salts: Sequence[str], storage: Path) -> Row:
    """The smallest request and its peers, on the same splits."""
    row = Row(case.name, 0, is_classification=True, gradsum=[], linear=[], trees=[])
    for salt in salts:
        problem = gradsum.problem(case, salt, storage)
        matrix = problem.matrix
        row = row._replace(rows=len(matrix.X), is_classification=matrix.classes is not None)
        row.gradsum.append(gradsum.trained(problem))
        row.linear.append(peers.linear(matrix))
        row.trees.append(peers.trees(matrix))
    return row


def mean(outcomes: Sequence[Outcome]) -> float:
    """The mean score."""
    return statistics.fmean(outcome.score for outcome in outcomes)


def cells(row: Row) -> list[str]:
    """What the table says of a case."""
    return [
        row.case,
        f"{row.rows:,}".replace(",", " "),
        "accuracy" if row.is_classification else "R²",
        *(_score(outcomes) for outcomes in (row.gradsum, row.linear, row.trees)),
        *(f"{mean(row.gradsum) - mean(peer):+.3f}".replace("-", "−") for peer in (row.linear, row.trees)),
        _seconds(statistics.fmean(outcome.seconds for outcome in row.gradsum)),
    ]


def markdown(rows: Sequence[Row]) -> str:
    """The table, with what stands around it on the page."""
    lines = [HEADINGS, ["---", "--:", "---", *["--:"] * 6], *(cells(row) for row in rows)]
    return BEGIN + "".join(f"| {' | '.join(line)} |\n" for line in lines) + END


def put(table: str, page: Path = PAGE) -> None:
    """Writes the table into the page, in the place of the one that is there."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    page.write_text(before + table + rest.partition(END)[2], encoding="utf-8")


def _score(outcomes: Sequence[Outcome]) -> str:
    return f"{mean(outcomes):.3f} ± {statistics.pstdev(outcome.score for outcome in outcomes):.3f}"


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value >= 0.1 else f"{1000 * value:.0f} ms"
