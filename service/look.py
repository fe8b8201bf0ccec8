"""Looks at the beginning of a file in a process of its own, with little memory and time: `python -m service.look`.

The API opens no binary format itself. It calls `look_at`; the process reads one JSON request, and writes one answer.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from service.once import CPU_SECONDS, EndedError, Turns, answer_once, ask_once
from workers.errors import DataError

TURNS = Turns(2)


def look_at(path: Path, options: dict[str, Any], limits: Mapping[str, int]) -> dict[str, Any]:
    """What `service.head.preview_of` says of the file; its DataError, or `file_corrupt` where the process ended."""
    request = {"path": str(path), "options": options, "limits": dict(limits)}
    with TURNS.taken("files"):
        try:
            return ask_once("service.look", request, 2 * CPU_SECONDS)
        except EndedError as error:
            message = f"The file ended the process that looked at it ({error}): it is damaged, or made to do harm."
            raise DataError(message, code="file_corrupt") from None


def main() -> int:
    """Answer the request on standard input."""
    from service.head import preview_of  # noqa: PLC0415 - it imports this module to ask

    return answer_once(lambda request: preview_of(Path(request["path"]), request["options"], request["limits"]))


if __name__ == "__main__":
    sys.exit(main())
