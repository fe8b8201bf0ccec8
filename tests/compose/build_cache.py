"""What building an image leaves in the engine: records of its cache, which stay when the image is gone."""

import json
import subprocess

from tests.compose.cluster import DOCKER


def cached() -> set[str]:
    """The ids of all records."""
    return {
        record["ID"] for record in json.loads(_docker("system", "df", "--verbose", "--format", "{{json .BuildCache}}"))
    }


def prune(ids: set[str]) -> None:
    """Remove these records and no others; one that another record or an image is built on stays until that is gone."""
    left = cached() & ids
    while left:
        for record in left:
            _docker("builder", "prune", "--all", "--force", "--filter", f"id={record}")
        before, left = left, cached() & ids
        if left == before:
            return


def _docker(*arguments: str) -> str:
    return subprocess.run([DOCKER, *arguments], capture_output=True, text=True, check=True).stdout
