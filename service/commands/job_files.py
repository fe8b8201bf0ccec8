"""Job files, rows to predict, `key=value` options: from what users write to what the API takes."""

import json
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from service.commands.session import CommandError

STANDARD_INPUT = "-"
YAML_WORDS = {
    "null": (r"(null|Null|NULL|~|)$", ["n", "N", "~", ""]),
    "bool": (r"(true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    "int": (r"[-+]?(0|[1-9][0-9]*)$", list("-+0123456789")),
    "float": (
        r"([-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$",
        list("-+.0123456789"),
    ),
}
"""What plain words mean in YAML 1.2: `1e-3` is a number, `on` and dates are text. PyYAML's own rules are 1.1's."""


class _Loader(yaml.SafeLoader):
    """YAML_WORDS instead of PyYAML's, and no key twice."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own shape

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        seen: set[str] = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                raise yaml.MarkedYAMLError(problem=f"the key '{key.value}' stands twice", problem_mark=key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


for _word, (_pattern, _first_letters) in YAML_WORDS.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_word}", re.compile(_pattern), _first_letters)


def read_text(file: str) -> str:
    """What is in `file`, or comes in through standard input."""
    try:
        raw = sys.stdin.buffer.read() if file == STANDARD_INPUT else Path(file).read_bytes()
    except OSError as error:
        raise cannot_read(file, error) from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CommandError(f"{named(file)} is not UTF-8 text (byte {error.start}). Save it as UTF-8.") from None


def cannot_read(file: str, error: OSError) -> CommandError:
    """What to say of a file that can't be opened."""
    if isinstance(error, FileNotFoundError):
        return CommandError(f"There is no file '{file}'. Check the path.")
    return CommandError(f"The file '{file}' can't be read: {error.strerror or error}.")


class Kind(NamedTuple):
    """What a file of fields is for: its name, and how one begins."""

    name: str
    example: str


JOB = Kind("job file", "dataset: digits")
SCHEDULE = Kind("schedule file", "name: nightly")
CHANGES = Kind("file of changes", "cron: '0 4 * * *'")


def read_body(file: str, kind: Kind = JOB) -> dict[str, Any]:
    """The request in a YAML or JSON file."""
    text = read_text(file)
    if file.endswith(".json") or text.lstrip().startswith("{"):
        try:
            return _fields(file, json.loads(text, object_pairs_hook=_no_key_twice), kind)
        except (ValueError, RecursionError) as error:
            if file.endswith(".json"):
                raise CommandError(f"{named(file)} is not valid JSON: {error}.") from None
    try:
        body = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise CommandError(f"{named(file)} is not valid YAML: {error.problem or error.context}{where}.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise CommandError(f"{named(file)} is not valid YAML: {error}.") from None
    return _fields(file, body, kind)


def _fields(file: str, body: object, kind: Kind) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise CommandError(f'{named(file)} holds no fields: a {kind.name} begins like "{kind.example}".')
    if kind is JOB and isinstance(body.get("job"), dict):
        message = f"{named(file)} is a schedule file: its job stands below 'job'. gradsum schedule add takes it."
        raise CommandError(message)
    if kind is SCHEDULE and "job" not in body and {"dataset", "target"} <= body.keys():
        message = f"{named(file)} is a job file: a schedule's job stands below 'job'. gradsum job submit takes it."
        raise CommandError(message)
    return body


def read_json_rows(file: str) -> list[Any]:
    """Rows of JSON or of JSON lines: a list, `{"rows": …}`, or an object a row."""
    rows = _json_rows(file, read_text(file))
    if not rows:
        raise CommandError(f"{named(file)} has no rows.")
    return rows


def read_options(pairs: list[str]) -> dict[str, Any]:
    """`["delimiter=;", "types.zip=category"]` as the API's `options`; JSON values are taken as JSON."""
    options: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        outer, dot, inner = key.partition(".")
        place = options.setdefault(outer, {}) if dot else options
        if not equals or not key or not isinstance(place, dict):
            raise CommandError(f"The option '{pair}' is not of the form key=value, for example delimiter=';'.")
        place[inner if dot else key] = _option_value(value)
    return options


def _option_value(text: str) -> object:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, bool | list | dict) else text


def _json_rows(file: str, text: str) -> list[Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return [_json_line(file, number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if isinstance(value, dict):
        rows = value.get("rows", [value])
        return rows if isinstance(rows, list) else [value]
    return list(value)


def _json_line(file: str, number: int, line: str) -> object:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise CommandError(f"{named(file)} is not valid JSON: {error.msg} in line {number}.") from None
    except (ValueError, RecursionError) as error:
        raise CommandError(f"Line {number} of {named(file)} can't be read: {error}.") from None


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise CommandError(f"The key '{next(key for key in keys if keys.count(key) > 1)}' stands twice in one object.")
    return found


def named(file: str) -> str:
    """What to call the file in a sentence."""
    return "Standard input" if file == STANDARD_INPUT else f"'{file}'"
