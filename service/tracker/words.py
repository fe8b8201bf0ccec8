"""What MLflow takes as names and values: a spec flattened with dots, names of its alphabet, texts of its lengths."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime

LONGEST_NAME = 250
LONGEST_PARAMETER = 6000
LONGEST_TAG = 8000
OUTSIDE_ALPHABET = re.compile(r"[^\w.\- :]")


def parameters(spec: Mapping[str, object]) -> dict[str, str]:
    """The spec as names with dots and texts: strings as they are, everything else as JSON."""
    return {name(path): cut(text(value), LONGEST_PARAMETER) for path, value in _flat(spec, "")}


def without_addresses(spec: Mapping[str, object]) -> dict[str, object]:
    """The spec without where it notifies: whoever knows such an address may post there."""
    return {key: value for key, value in spec.items() if key != "notify"}


def tags(given: Mapping[str, str]) -> dict[str, str]:
    """A user's tags as MLflow takes them."""
    return {name(key): cut(value, LONGEST_TAG) for key, value in given.items()}


def name(wanted: str) -> str:
    """`wanted`, with what MLflow refuses in the name of a parameter or tag replaced by underscores."""
    allowed = OUTSIDE_ALPHABET.sub("_", wanted)[:LONGEST_NAME]
    return "_" + allowed[1:] if allowed[:1] in {"", "."} else allowed


def text(value: object) -> str:
    """A value as text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def cut(value: str, longest: int) -> str:
    """`value`, or its beginning with … at the end where it is longer."""
    return value if len(value) <= longest else value[: longest - 1] + "…"


def milliseconds(moment: str) -> int:
    """The record's time as MLflow counts it, since 1970."""
    return int(datetime.fromisoformat(moment).timestamp() * 1000)


def _flat(values: Mapping[str, object], prefix: str) -> Iterator[tuple[str, object]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
