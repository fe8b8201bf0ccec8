"""Log lines on stderr: time (UTC), level, process, one event name, then `key=value` fields. Each event is one line."""

import json
import logging
import sys
import time
import traceback
from typing import Any, TextIO

LIBRARIES_LEVEL = logging.WARNING


def set_up(process: str, stream: TextIO | None = None) -> None:
    """Send every log line of this Python process to `stream` (stderr), libraries' from WARNING up."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Formatter(process))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(LIBRARIES_LEVEL)
    logging.captureWarnings(capture=True)
    logging.getLogger("gradsum").setLevel(logging.INFO)


def logger(process: str) -> "Log":
    """The log of `process`; the first one that a Python process asks for sets logging up."""
    if logging.getLogger("gradsum").level == logging.NOTSET:
        set_up(process)
    return Log(process)


class Log:
    """Writes events: `log.info("job_started", job_id=…, attempt=1)`."""

    def __init__(self, process: str) -> None:
        self._logger = logging.getLogger(f"gradsum.{process}")

    def info(self, event: str, **fields: object) -> None:
        """What normally happens, and is worth a line."""
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """What went wrong and mends itself."""
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, **fields: object) -> None:
        """What went wrong and stays so."""
        self._write(logging.ERROR, event, fields)

    def exception(self, event: str, **fields: object) -> None:
        """An error with the traceback of the exception being handled, indented below it."""
        self._write(logging.ERROR, event, fields, with_traceback=True)

    def _write(self, level: int, event: str, fields: dict[str, Any], *, with_traceback: bool = False) -> None:
        line = " ".join([event, *(f"{name}={rendered(value)}" for name, value in fields.items())])
        self._logger.log(level, "%s", line, exc_info=with_traceback)


def rendered(value: object) -> str:
    """`value` as it stands in a line: quoted where it holds blanks or quotes, with control characters escaped."""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = value if isinstance(value, str) else str(value)
    if text and text.isprintable() and not any(character in text for character in ' "='):
        return text
    return _escaped(json.dumps(text, ensure_ascii=False))


def _escaped(text: str) -> str:
    """`text` without a character that could end the line, move the cursor or turn the direction of writing."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class _Formatter(logging.Formatter):
    """One line for a record; the process is named by the event's logger, or by `process` where a library speaks."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(record.created))
        parent, _, name = record.name.partition(".")
        ours = parent == "gradsum" and bool(name)
        text = record.getMessage() if ours else f"{record.name} {_escaped(record.getMessage().strip())}"
        line = f"{moment} {record.levelname} {name if ours else self._process} {text}"
        if record.exc_info:
            lines = "".join(traceback.format_exception(*record.exc_info)).splitlines()
            line += "".join(f"\n    {_escaped(part)}" for part in lines)
        return line
