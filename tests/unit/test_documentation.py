"""What the documentation names is there: settings, commands and options, paths of the API, files, targets of make."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from starlette.routing import Route
from typer.core import TyperGroup

from service.app import create_app
from service.cli import app
from service.routes import docs
from service.settings import PREFIX, Settings
from service.store.database import Database
from tests.unit.test_cluster_settings import example

PROJECT = Path(__file__).parents[2]
FILES = [
    *(PROJECT / name for name in ("README.md", "ARCHITECTURE.md", "CHANGELOG.md")),
    *sorted((PROJECT / "docs").glob("*.md")),
    *sorted((PROJECT / "deploy").rglob("*.md")),
]
OF_THE_COMMAND_LINE = {"GRADSUM_URL", "GRADSUM_TOKEN"}
OF_MACHINES = {"/data", "/incoming", "/secrets/", "/tmp"}  # noqa: S108 - paths that are none of the API's
COMMAND = re.compile(r"\bgradsum ([a-z][^`\n|>#&;)]*)")
PATH = re.compile(r"`(?:[A-Z]+ )?(/[^`\s?]*)[^`]*`|(?:URL|:8000|\bGET|\bPOST)(/v1[^\s\"'`?]*)")
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(#[^)]*)?\)")


@pytest.fixture(params=FILES, ids=lambda file: str(file.relative_to(PROJECT)))
def file(request: pytest.FixtureRequest) -> Path:
    """Each file of the documentation."""
    found: Path = request.param
    return found


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[set[str]]:
    """The paths of the API, `{}` in place of what varies."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"))
    with contextlib.closing(Database(settings.database_url)) as database:
        api = create_app(settings, database)
        beside = {route.path for route in (*api.routes, *docs.router.routes) if isinstance(route, Route)}
        yield {general(path) for path in api.openapi()["paths"]} | beside


def general(path: str) -> str:
    """`/v1/jobs/{id}` and `/v1/jobs/JOB_ID` are `/v1/jobs/{}`."""
    return re.sub(r"\{\w+\}|(?<=/)(\$?[A-Z_]+|…)(?=/|$)", "{}", path)


def anchors(text: str) -> set[str]:
    """The places of a file that links lead to, as Git hosts name them after its headings."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {"#" + re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def wrong_part(words: list[str]) -> str | None:
    """What there is not of the command that begins with these words, or what they leave out."""
    command = typer.main.get_command(app)
    options = {option for parameter in command.params for option in parameter.opts}
    while isinstance(command, TyperGroup) and words and not words[0].startswith("-"):
        if words[0] not in command.commands:
            return words[0]
        command = command.commands[words.pop(0)]
        options |= {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    given = {word.split("=")[0] for word in words if re.match("--?[a-z]", word)}
    wanted = {parameter.opts[0] for parameter in command.params if parameter.required and parameter.opts[0][0] == "-"}
    return next(iter(given - options or (wanted - given if words else ())), None)


def test_every_setting_that_is_named_exists(file: Path) -> None:
    settings = {PREFIX + name.upper() for name in Settings.model_fields}
    known = settings | OF_THE_COMMAND_LINE | set(example())
    for name, more in re.findall(r"\b(GRADSUM_[A-Z0-9_]*)(…?)", file.read_text(encoding="utf-8")):
        assert name in known or (more and any(other.startswith(name) for other in known)), name


def test_every_setting_is_explained_somewhere() -> None:
    text = "".join(file.read_text(encoding="utf-8") for file in FILES)
    settings = {PREFIX + name.upper() for name in Settings.model_fields}
    assert [name for name in sorted(settings) if name not in text] == []


def test_every_command_that_is_named_exists(file: Path) -> None:
    text = file.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in COMMAND.findall(text):
        assert wrong_part(line.split()) is None, line


def test_every_path_of_the_api_that_is_named_exists(file: Path, routes: set[str]) -> None:
    for found in PATH.findall(file.read_text(encoding="utf-8")):
        path = "".join(found)
        assert general(path) in routes or any(path.startswith(other) for other in OF_MACHINES), path


def test_every_link_leads_to_a_place(file: Path) -> None:
    for name, anchor in LINK.findall(file.read_text(encoding="utf-8")):
        target = file.parent / name if name else file
        assert target.exists(), name
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), name + anchor


def test_every_file_that_is_named_exists(file: Path) -> None:
    for name in re.findall(r"`((?:deploy|docs|service|tests|workers)/[\w./-]*)`", file.read_text(encoding="utf-8")):
        assert (PROJECT / name).exists(), name


def test_every_target_of_make_that_is_named_exists(file: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert targets >= set(re.findall(r"`make ([a-z-]+)", file.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("train", "train"),
        ("job submitt x.yaml", "submitt"),
        ("job submit x.yaml --folow", "--folow"),
        ("token new ci", "--scope"),
        ("token new", None),
    ],
)
def test_a_command_that_is_none_is_found(line: str, wrong: str | None) -> None:
    assert wrong_part(line.split()) == wrong


def test_a_path_that_is_none_is_found(routes: set[str]) -> None:
    [found] = PATH.findall("`/metrics` needs a token")
    assert "".join(found) not in routes
    assert general("/v1/jobs/JOB_ID/weights") in routes
