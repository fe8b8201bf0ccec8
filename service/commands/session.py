"""What commands that talk to a service share: its address, the token, `--json`, and how answers are printed."""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperOption

if TYPE_CHECKING:
    from rich.console import Console

    from service.client import Client

URL_HELP = "The service's address (GRADSUM_URL; else where gradsum serve listens: GRADSUM_HOST, GRADSUM_PORT)"
PLAIN_WIDTH = 160
"""Columns of what is piped into another program."""
PANEL = "Which service, and how to answer"


class CommandError(Exception):
    """What a command can't do, as a sentence with the way out."""


@dataclass
class Session:
    """What stands on the command line, before or after the command's name; None where nothing does."""

    url: str | None = None
    token: str | None = None
    json: bool = False

    def client(self) -> "Client":
        """A client of the service that was asked for."""
        from service.client import Client  # noqa: PLC0415 - quick --help
        from service.settings import load_settings  # noqa: PLC0415

        url = self.url or os.environ.get("GRADSUM_URL") or load_settings().api_url
        token = (self.token or os.environ.get("GRADSUM_TOKEN") or "").strip()
        if not (token.isascii() and token.isprintable()):
            raise CommandError("The token has characters that no token has. Check GRADSUM_TOKEN or --token.")
        return Client(url, token or None)

    def console(self, *, stderr: bool = False) -> "Console":
        """A terminal to write on; as wide as it needs where it is none."""
        from rich.console import Console  # noqa: PLC0415 - quick --help

        terminal = (sys.stderr if stderr else sys.stdout).isatty()
        return Console(stderr=stderr, highlight=False, width=None if terminal else PLAIN_WIDTH)

    def show(self, answer: dict[str, Any], render: Callable[[dict[str, Any]], object]) -> None:
        """Print the API's answer as it is (--json), or `render` it for people."""
        if self.json:
            show_json(answer)
        else:
            render(answer)


class ServiceCommand(TyperCommand):
    """A command that takes --url, --token and --json after its name too."""

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - Typer's own
        super().__init__(*arguments, **named)
        self.params.extend(_options())


def session(context: typer.Context) -> Session:
    """The session of this command line."""
    return context.ensure_object(Session)


def show_json(answer: object) -> None:
    """Print the answer as JSON."""
    typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))


def _options() -> list[TyperOption]:
    def option(name: str, help_text: str, **more: Any) -> TyperOption:  # noqa: ANN401 - Typer's own
        return TyperOption(
            param_decls=[f"--{name}"],
            help=help_text,
            callback=_remember,
            expose_value=False,
            rich_help_panel=PANEL,
            **more,
        )

    return [
        option("url", URL_HELP, type=str, metavar="URL"),
        option("token", "The token to show it (GRADSUM_TOKEN)", type=str, metavar="TOKEN"),
        option("json", "Print the API's answer and nothing else", type=bool, is_flag=True, default=False),
    ]


def _remember(context: typer.Context, parameter: Any, value: str | bool | None) -> None:  # noqa: ANN401, FBT001 - Typer's
    if value:
        setattr(session(context), parameter.name, value)
