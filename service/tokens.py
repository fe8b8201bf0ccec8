"""The tokens file: one line a token, `name:read|write:sha256-of-token`. Whoever reads it learns no token."""

import contextlib
import fcntl
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from service.settings import SettingsError
from workers.files import write_atomically

ANONYMOUS = "anonymous"
"""The actor where there are no tokens; so no token has this name."""
SCOPES = ("read", "write")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
SHA256 = re.compile(r"[0-9a-f]{64}")
PREFIX = "gradsum_"
"""What every token begins with, so that scanners of repositories and logs can find one."""


class Token(NamedTuple):
    """What the file says of one token."""

    name: str
    scope: str  # read | write
    sha256: str

    @property
    def line(self) -> str:
        """Its line in the file."""
        return f"{self.name}:{self.scope}:{self.sha256}"


def sha256_of(token: str) -> str:
    """What stands for a token at rest. Tokens are random, so a slow hash would protect nothing more."""
    return hashlib.sha256(token.encode()).hexdigest()


def read_tokens(path: Path) -> list[Token]:
    """The tokens in the file, in order. SettingsError where it can't be read or a line is wrong."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        way_out = "make it with: gradsum token new NAME --scope write."
        raise SettingsError(f"GRADSUM_API_TOKENS_FILE names {path}, which does not exist: {way_out}") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise SettingsError(f"GRADSUM_API_TOKENS_FILE names {path}, which can't be read: {reason}.") from None
    found: dict[str, Token] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        token = _parsed(line.strip(), f"Line {number} of the tokens file {path}")
        if token.name in found:
            raise SettingsError(f"Line {number} of the tokens file {path} has the name '{token.name}' a second time.")
        found[token.name] = token
    return list(found.values())


def new_token(path: Path, name: str, scope: str) -> str:
    """A new token, whose line is in the file, which is made where it is missing. It is kept nowhere else."""
    _check_name(name)
    path = _target(path)
    plain = PREFIX + secrets.token_urlsafe(32)
    with _locked(path):
        _check_unused(path, name)
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        separator = "\n" if before and not before.endswith("\n") else ""
        _write(path, f"{before}{separator}{Token(name, scope, sha256_of(plain)).line}\n")
    return plain


def revoke_token(path: Path, name: str) -> None:
    """Take the token's line away; all other lines stay as they are. SettingsError where there is none."""
    path = _target(path)
    with _locked(path):
        if name not in {token.name for token in read_tokens(path)}:
            raise SettingsError(f"There is no token '{name}' in {path}. See: gradsum token list.")
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        _write(path, "".join(line for line in lines if line.strip().partition(":")[0] != name))


def _target(path: Path) -> Path:
    """The file that is meant where `path` is a symbolic link: the link stays. SettingsError where it is no file."""
    target = Path(os.path.realpath(path))
    if target.is_symlink() or (target.exists() and not target.is_file()):  # a link that leads to itself; a device
        raise SettingsError(f"The tokens file {path} is no file: name another one in GRADSUM_API_TOKENS_FILE.")
    return target


def _parsed(line: str, place: str) -> Token:
    """The token of one line. What is wrong is said without the line: it may be a token that someone pasted."""
    parts = line.split(":")
    form = "Lines are name:read|write:sha256-of-token; gradsum token new NAME --scope read makes them."
    if len(parts) != len(Token._fields):
        raise SettingsError(f"{place} has not the three parts of a token. {form}")
    token = Token(parts[0], parts[1], parts[2].lower())
    if NAME.fullmatch(token.name) is None or token.name == ANONYMOUS:
        raise SettingsError(f"{place} begins with something that can't be a token's name. {form}")
    if token.scope not in SCOPES:
        raise SettingsError(f"{place} has a scope that is neither read nor write. {form}")
    if SHA256.fullmatch(token.sha256) is None:
        raise SettingsError(f"{place} does not end with a SHA-256 of 64 hexadecimal digits. {form}")
    return token


def _check_name(name: str) -> None:
    if NAME.fullmatch(name) is None or name == ANONYMOUS:
        raise SettingsError(
            f"'{name}' can't be a token's name: use 1 to 100 letters, digits, '.', '_' and '-', "
            f"the first a letter or digit, and not '{ANONYMOUS}'."
        )


def _check_unused(path: Path, name: str) -> None:
    if path.exists() and name in {token.name for token in read_tokens(path)}:
        way_out = f"Choose another name, or first: gradsum token revoke {name}."
        raise SettingsError(f"There is a token '{name}' in {path} already. {way_out}")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One writer at a time. The lock is a file of its own: the tokens file itself is replaced by each change."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(f".{path.name}.lock").open("a")
    except OSError as error:
        raise SettingsError(f"The tokens file {path} can't be written: {error.strerror}.") from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(path: Path, text: str) -> None:
    """Replace the file; whose it is and who may read it stays as it was, and a new one is its owner's alone."""
    before = path.stat() if path.exists() else None
    try:
        write_atomically(path, text.encode(), like=before)
    except OSError as error:
        way_out = ""
        if before is not None:
            owner = f"user {before.st_uid} and group {before.st_gid}"
            way_out = f" It has to stay with {owner}: do this as that user or as root."
        raise SettingsError(f"The tokens file {path} can't be written: {error.strerror}.{way_out}") from None
