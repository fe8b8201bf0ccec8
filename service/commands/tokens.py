"""`gradsum token`: makes, lists and revokes the tokens that the API takes, in their file, which the API follows."""

import enum
from pathlib import Path
from typing import Annotated

import typer

from service.commands.session import CommandError, session, show_json

app = typer.Typer(no_args_is_help=True, help="Tokens for the API: who may read, who may write.")


class Scope(enum.StrEnum):
    """What a token allows."""

    read = "read"
    write = "write"


TokensFile = Annotated[
    Path | None, typer.Option("--file", metavar="FILE", help="The tokens file (GRADSUM_API_TOKENS_FILE)")
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Whose token it is: it becomes the `actor` of what is made")]


@app.command()
def new(
    name: Name,
    scope: Annotated[Scope, typer.Option(help="read: look at everything and predict; write: everything")],
    file: TokensFile = None,
) -> None:
    """Make a token, print it once on stdout, and append its line (a hash) to the tokens file.

    Example: gradsum token new ci --scope write --file tokens
    """
    from service.tokens import new_token  # noqa: PLC0415 - quick --help

    path = _path(file)
    token = new_token(path, name, scope.value)
    typer.echo(f"The token of '{name}' ({scope.value}), shown this once; {path} has its hash:", err=True)
    typer.echo(token)


@app.command("list")
def list_tokens(context: typer.Context, file: TokensFile = None) -> None:
    """List the tokens by name and scope.

    Example: gradsum token list
    """
    from service.tokens import read_tokens  # noqa: PLC0415 - quick --help

    found = [{"name": token.name, "scope": token.scope} for token in read_tokens(_path(file))]
    if session(context).json:
        show_json(found)
        return
    for token in found:
        typer.echo(f"{token['name']}  {token['scope']}")


@app.command()
def revoke(name: Name, file: TokensFile = None) -> None:
    """Take a token away: the API refuses it from its next request on.

    Example: gradsum token revoke ci
    """
    from service.tokens import revoke_token  # noqa: PLC0415 - quick --help

    revoke_token(_path(file), name)
    typer.echo(f"The token of '{name}' is revoked.", err=True)


def _path(given: Path | None) -> Path:
    from service.settings import load_settings  # noqa: PLC0415 - quick --help

    path = str(given.expanduser().absolute()) if given else load_settings().api_tokens_file
    if not path:
        raise CommandError("Which tokens file? Set GRADSUM_API_TOKENS_FILE, or give --file FILE.")
    return Path(path)
