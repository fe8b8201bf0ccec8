"""Weeks of nights with real training: models that differ by their seed and a few new rows, and really worse ones."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from service.gate import Verdict
from tests.gate.nights import Trained, ingested, judged, trained
from tests.gate.planted import Example, data_of

Worsen = Callable[[pd.DataFrame, str, dict[str, Any]], tuple[pd.DataFrame, dict[str, Any]]]


def hardly_trained(data: pd.DataFrame, _target: str, body: dict[str, Any]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """It stopped after two epochs."""
    return data, body | {"training": body["training"] | {"epochs": 2}}


def a_network_of_one(data: pd.DataFrame, _target: str, body: dict[str, Any]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Somebody made it smaller."""
    return data, body | {"network": {"hidden_layers": [1]}}


WORSE: tuple[Worsen, ...] = (hardly_trained, a_network_of_one)


def equal_nights(example: Example, directory: Path, nights: int) -> Iterator[Verdict]:
    """Verdicts on models of another seed and one per cent more rows each night."""
    data = data_of(example)
    first = int(len(data) * 0.7)
    champion: Trained | None = None
    for night in range(nights):
        rows = data.iloc[: first + night * len(data) // 100]
        body = example.body | {"training": example.body["training"] | {"seed": night}}
        here = directory / str(night)
        made = trained(here, ingested(here, rows.to_csv(index=False)), body)
        if champion is not None:
            verdict = judged(made, champion)
            yield verdict
            champion = made if verdict.verdict == "promoted" else champion
        else:
            champion = made


def worse_night(example: Example, champion: Trained, worsen: Worsen, directory: Path) -> Verdict:
    """The verdict on a model that is made worse on purpose, with no check before it."""
    data, body = worsen(data_of(example), example.target, example.body)
    return judged(trained(directory, ingested(directory, data.to_csv(index=False)), body), champion)
