"""The tokens file: what stands in it, what is refused, and how the API follows it."""

import hashlib
import io
import logging
import os
import stat
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from service import logs
from service.auth import Tokens
from service.settings import SettingsError
from service.tokens import Token, new_token, read_tokens, revoke_token

SHA = "a" * 64
NOBODY = 65534


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root, ours = logging.getLogger(), logging.getLogger("gradsum")
    before = (list(root.handlers), root.level, ours.level)
    stream = io.StringIO()
    logs.set_up("api", stream)
    yield stream
    logging.captureWarnings(capture=False)
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])


def test_the_file_has_the_hash_of_a_token_and_nobody_else_may_read_it(path: Path) -> None:
    token = new_token(path, "ci", "write")
    assert read_tokens(path) == [Token("ci", "write", hashlib.sha256(token.encode()).hexdigest())]
    assert token not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_others_may_read_stays_so_with_its_comments(path: Path) -> None:
    path.write_text(f"# ours\n\n  old:read:{SHA.upper()}")
    path.chmod(0o640)
    new_token(path, "ci", "write")
    assert [token.name for token in read_tokens(path)] == ["old", "ci"]
    revoke_token(path, "old")
    assert [token.name for token in read_tokens(path)] == ["ci"]
    assert path.read_text().startswith("# ours\n\nci:write:")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_file_whose_owner_can_t_be_kept_is_left_alone() -> None:
    """Root makes a file of its own, which nobody may not give back to it; only root can try that."""
    me = os.geteuid()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o777)
        path = directory / "tokens"
        path.touch() if me == 0 else path.symlink_to("/dev/null")
        os.seteuid(me or NOBODY)
        try:
            with pytest.raises(SettingsError, match="has to stay with user 0 and group 0" if me == 0 else "no file"):
                new_token(path, "ci", "write")
        finally:
            os.seteuid(me)
        assert path.stat().st_size == 0
        assert path.stat().st_uid == 0


def test_what_is_no_file_is_left_alone(tmp_path: Path) -> None:
    link = tmp_path / "tokens"
    for target in ("/dev/null", str(tmp_path), str(link)):
        link.symlink_to(target)
        with pytest.raises(SettingsError, match="is no file"):
            new_token(link, "ci", "write")
        assert str(link.readlink()) == target
        link.unlink()


def test_tokens_that_are_made_at_once_are_all_there(path: Path) -> None:
    makers = [threading.Thread(target=new_token, args=(path, f"t{number}", "read")) for number in range(8)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert {token.name for token in read_tokens(path)} == {f"t{number}" for number in range(8)}


@pytest.mark.parametrize("name", ["", "a b", "a:b", "-a", "anonymous", "é", "a" * 101, "a\n"])
def test_a_name_that_can_t_be_a_token_s_is_refused(path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="can't be a token's name"):
        new_token(path, name, "read")
    assert not path.exists()


def test_a_name_is_taken_once_and_only_what_is_there_is_revoked(path: Path) -> None:
    new_token(path, "ci", "read")
    with pytest.raises(SettingsError, match="token revoke ci"):
        new_token(path, "ci", "write")
    with pytest.raises(SettingsError, match="no token 'cd'"):
        revoke_token(path, "cd")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ci", "Line 1 .* three parts"),
        (f"# x\nci:write:{SHA}:x", "Line 2 .* three parts"),
        (f"c i:write:{SHA}", "can't be a token's name"),
        (f"anonymous:write:{SHA}", "can't be a token's name"),
        (f"ci:admin:{SHA}", "neither read nor write"),
        ("ci:write:gradsum_plain-token", "SHA-256"),
        (f"ci:write:{SHA}\nci:read:{SHA}", "Line 2 .* second time"),
    ],
)
def test_a_wrong_line_is_a_sentence_that_does_not_repeat_it(path: Path, text: str, reason: str) -> None:
    path.write_text(text)
    with pytest.raises(SettingsError, match=reason) as refusal:
        read_tokens(path)
    assert "plain-token" not in str(refusal.value)
    assert str(refusal.value).endswith(".")


def test_a_file_that_is_missing_or_no_text_is_a_sentence(path: Path) -> None:
    with pytest.raises(SettingsError, match="gradsum token new"):
        read_tokens(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="not UTF-8"):
        read_tokens(path)


def test_the_api_follows_the_file_and_keeps_what_it_knew_where_that_is_wrong(path: Path, log: io.StringIO) -> None:
    first = new_token(path, "first", "read")
    tokens = Tokens(path, logs.logger("api"))
    second = new_token(path, "second", "write")
    assert getattr(tokens.find(second), "name", None) == "second"
    revoke_token(path, "second")
    assert tokens.find(second) is None
    good = path.read_bytes()
    path.write_text(f"nonsense {first}\n")
    assert getattr(tokens.find(first), "name", None) == "first"
    assert tokens.find(first) is not None
    assert log.getvalue().count("tokens_not_read") == 1
    path.unlink()
    assert tokens.find(first) is not None
    path.write_bytes(good)
    assert tokens.find(first) is not None
    path.write_text("")
    assert tokens.find(first) is None
    assert first not in log.getvalue()


def test_a_file_that_is_written_in_place_within_its_size_is_read_again(path: Path) -> None:
    path.write_text(f"a:read:{hashlib.sha256(b'x').hexdigest()}\n")
    tokens = Tokens(path, logs.logger("api"))
    path.write_text(f"a:read:{hashlib.sha256(b'y').hexdigest()}\n")
    os.utime(path, ns=(1, 1))
    assert tokens.find("x") is None
    assert tokens.find("y") is not None


def test_a_link_to_the_file_stays_a_link(path: Path, tmp_path: Path) -> None:
    new_token(path, "ci", "read")
    link = tmp_path / "link"
    link.symlink_to(path)
    new_token(link, "alice", "write")
    revoke_token(link, "ci")
    assert link.is_symlink()
    assert [token.name for token in read_tokens(path)] == ["alice"]
