"""The examples that a default model is measured on, and their data files."""

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn import datasets

PROJECT = Path(__file__).parents[2]
EXAMPLES = PROJECT / "deploy" / "examples"


class Case(NamedTuple):
    """A data set with its target; `loader` is scikit-learn's function where the file comes from there."""

    name: str
    target: str
    loader: str | None = None

    @property
    def file(self) -> Path:
        """The data, in the repository."""
        return EXAMPLES / self.name / f"{self.name}.csv"


CASES = {
    case.name: case
    for case in (
        Case("digits", "digit"),
        Case("breast_cancer", "diagnosis", "load_breast_cancer"),
        Case("wine", "cultivar", "load_wine"),
        Case("iris", "species", "load_iris"),
        Case("adult", "income"),
        Case("abalone", "rings"),
        Case("diabetes", "progression", "load_diabetes"),
    )
}


def table(case: Case) -> list[list[str]]:
    """The header and the rows of a case that scikit-learn has, in its order, units as measured."""
    assert case.loader is not None
    options = {"scaled": False} if case.loader == "load_diabetes" else {}
    bunch = getattr(datasets, case.loader)(**options)
    names = [name.replace(" (cm)", "_cm").replace(" ", "_").replace("/", "_") for name in bunch.feature_names]
    classes = getattr(bunch, "target_names", None)
    answers = [f"{value:g}" for value in bunch.target] if classes is None else np.asarray(classes)[bunch.target]
    rows = [[*map(short, row), str(answer)] for row, answer in zip(bunch.data, answers, strict=True)]
    return [[*names, case.target], *rows]


def write(case: Case, file: Path) -> None:
    """Writes the data of a case that scikit-learn has."""
    with file.open("w", newline="", encoding="utf-8") as output:
        csv.writer(output, lineterminator="\n").writerows(table(case))


def short(value: float) -> str:
    """The shortest text that is this number."""
    return repr(float(value)).removesuffix(".0")


if __name__ == "__main__":
    for made in CASES.values():
        if made.loader is not None:
            write(made, made.file)
