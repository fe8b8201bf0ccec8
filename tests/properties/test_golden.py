"""Golden hashes: an arithmetic that changes without its version number is found here."""

import json
import os
import platform
import subprocess
import sys

import pytest

from service.numerics import environment
from tests.golden import FILE
from tests.running_service import PROJECT


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the portable kernels are those of x86-64")
def test_the_bits_are_those_of_this_version_of_the_arithmetic() -> None:
    """With the portable kernels, which every x86-64 machine has: whoever computes, these are the bits."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.golden"],
        cwd=PROJECT,
        env={**os.environ, **environment("portable")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(FILE.read_text())
