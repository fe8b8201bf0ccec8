"""What a version of a model has learned: its columns, and how the files of its dataset were to be read."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from service.commands.session import CommandError
from service.file_options import FileOptions, parse_options

if TYPE_CHECKING:
    from service.client import Client

WHOLE = re.compile(r"[-+]?\d+", re.ASCII)
ALSO_FOR_PREDICTIONS = ("delimiter", "decimal", "header")


class Feature(NamedTuple):
    """A column that the model takes."""

    name: str
    is_number: bool
    has_whole_texts: bool
    """Where numbers are categories: whether the dataset wrote them without decimals, `1` and not `1.0`."""


class Learned(NamedTuple):
    """One version of a model, and what it takes."""

    name: str
    version: int
    features: tuple[Feature, ...]
    options: FileOptions


def learned(client: "Client", name: str, version: int | None, given: Mapping[str, Any]) -> Learned:
    """The version, or the one that is the champion now; `given` options go before those of its dataset."""
    model = client.model(name)
    wanted = model["champion"] if version is None else version
    found = next((made for made in model["versions"] if made["version"] == wanted), None)
    if found is None:
        newest = model["versions"][0]["version"]
        raise CommandError(f"Model '{name}' has no version {wanted}; the newest is {newest}.")
    dataset = client.dataset(found["dataset_id"])
    columns = {column["name"]: column for column in dataset["columns"] or []}
    kept = {key: value for key, value in dataset["options"].items() if key in ALSO_FOR_PREDICTIONS}
    features = client.job(found["job_id"])["spec"]["features"]
    return Learned(name, wanted, tuple(_feature(columns[feature]) for feature in features), _options(kept, given))


def _options(kept: dict[str, Any], given: Mapping[str, Any]) -> FileOptions:
    for name in given:
        if name not in ALSO_FOR_PREDICTIONS:
            raise CommandError(f"The option '{name}' is not for predictions: {', '.join(ALSO_FOR_PREDICTIONS)} are.")
    return parse_options(kept | dict(given))


def _feature(column: Mapping[str, Any]) -> Feature:
    categories = column["categories"] or []
    return Feature(column["name"], column["type"] == "number", all(map(WHOLE.fullmatch, categories)))
