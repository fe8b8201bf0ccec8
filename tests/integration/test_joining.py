"""Joining a Ray cluster that runs elsewhere: a node that offers nothing, and why one can't be."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import ray

from service.ray_head import ray_head
from service.ray_node import JoinError, is_elsewhere, joined

pytestmark = pytest.mark.usefixtures("leaves_nothing")
LOOK = "import json, ray, sys; ray.init(sys.argv[1], logging_level='ERROR'); print(json.dumps(ray.nodes()))"


@contextlib.contextmanager
def reachable(directory: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    """A head as that of `serve`, but at this machine's outer address: where it is, and what lets a process in."""
    head, own = ray_head(directory, 1), str(ray.util.get_node_ip_address())
    environment = {**head.environment, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1"}
    process = subprocess.Popen(
        [own if part == "127.0.0.1" else part for part in head.program.command],
        env={**os.environ, **environment, "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield head.address.replace("127.0.0.1", own), environment
    finally:
        process.terminate()
        process.wait()
        head.ports.close()
        shutil.rmtree(head.directory, ignore_errors=True)


def living(address: str) -> list[dict[str, float]]:
    """The resources of each node that lives."""
    looked = subprocess.run([sys.executable, "-c", LOOK, address], capture_output=True, text=True, check=True)
    return [node["Resources"] for node in json.loads(looked.stdout) if node["Alive"]]


def joined_soon(address: str) -> contextlib.AbstractContextManager[str]:
    """As `joined`, tried again while the head is still starting."""
    stack = contextlib.ExitStack()
    deadline = time.monotonic() + 60
    while True:
        try:
            stack.enter_context(joined(address))
        except JoinError:
            assert time.monotonic() < deadline
            time.sleep(0.5)
        else:
            return stack.pop_all()


def test_whoever_joins_is_a_node_that_offers_nothing_until_it_leaves(
    short_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with reachable(short_directory) as (address, environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        with joined_soon(address):
            offered = living(address)
            assert [resources.get("CPU", 0) for resources in offered].count(0) == 1
            assert sum("gradsum" in resources for resources in offered) == 1
        assert len(living(address)) == 1
        (short_directory / "other-token").write_text("0" * 64)
        monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(short_directory / "other-token"))
        with pytest.raises(JoinError, match="RAY_AUTH_TOKEN_PATH"), joined(address):
            pass


def test_where_nobody_answers_the_address_is_named() -> None:
    with pytest.raises(JoinError, match=r"127\.0\.0\.1:1 .*GRADSUM_RAY_ADDRESS"), joined("127.0.0.1:1"):
        pass
    with pytest.raises(JoinError, match=r"no\.such\.host\.invalid:6379"):
        is_elsewhere("no.such.host.invalid:6379")


def test_a_head_on_this_machine_needs_no_node_more() -> None:
    assert not is_elsewhere("127.0.0.1:6379")
    assert not is_elsewhere("localhost:6379")
