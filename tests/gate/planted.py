"""What becomes of each planted fault on an example: held by the check, refused by the job, or stopped by the gate."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from tests.gate.faults import FAULTS, Fault
from tests.gate.nights import Trained, checked, ingested, judged, trained
from workers.errors import GradsumError

EXAMPLES = Path(__file__).parents[2] / "deploy" / "examples"


class Example(NamedTuple):
    """An example, as much of it as trains quickly."""

    name: str
    target: str
    rows: int
    body: dict[str, Any]


def _body(target: str, hidden: int, epochs: int) -> dict[str, Any]:
    return {
        "target": target,
        "split": {"test": 0.2},
        "network": {"hidden_layers": [hidden]},
        "training": {"epochs": epochs, "early_stopping": {"patience": 5}},
        "tracking": {"registered_model": "nightly"},
    }


EXAMPLE_TABLES = {
    "digits": Example("digits", "digit", 1797, _body("digit", 30, 40)),
    "abalone": Example("abalone", "rings", 4177, _body("rings", 16, 40)),
    "adult": Example("adult", "income", 6000, _body("income", 16, 15)),
}


class Outcome(NamedTuple):
    """How a night ended. `by`: check, job, gate or nothing, when the model was promoted."""

    by: str
    reason: str


def data_of(example: Example) -> pd.DataFrame:
    """The clean rows, in an order of no meaning."""
    data = pd.read_csv(EXAMPLES / example.name / f"{example.name}.csv")
    return data.sample(min(len(data), example.rows), random_state=1, ignore_index=True)


def champion_of(example: Example, directory: Path) -> Trained:
    """The model of the first, clean night."""
    return trained(directory, ingested(directory, data_of(example).to_csv(index=False)), example.body)


def outcome(example: Example, champion: Trained, fault: Fault, directory: Path, *, check: bool = True) -> Outcome:
    """What becomes of a night with the fault; without the check, only the gate is left."""
    try:
        dataset = ingested(directory, fault(data_of(example), example.target))
        found = checked(champion, dataset) if check else []
        if found:
            return Outcome("check", found[0].message)
        challenger = trained(directory, dataset, example.body)
    except GradsumError as error:
        return Outcome("job", error.message)
    verdict = judged(challenger, champion)
    return Outcome("nothing" if verdict.verdict == "promoted" else "gate", verdict.reason)


def outcomes(example: Example, directory: Path) -> Iterator[tuple[str, Outcome]]:
    """Of every fault."""
    champion = champion_of(example, directory / "clean")
    for fault in FAULTS:
        yield fault.__name__, outcome(example, champion, fault, directory / fault.__name__)
