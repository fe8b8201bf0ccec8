"""What a build leaves in the engine goes with its image, and what was there before stays."""

import subprocess
import uuid

from tests.compose.build_cache import cached, prune
from tests.compose.cluster import DOCKER


def test_only_the_records_of_a_build_are_pruned() -> None:
    before = cached()
    steps = f"FROM python:3.11-slim\nRUN echo {uuid.uuid4()} > /first\nRUN echo second > /second\n"
    build = [DOCKER, "build", "--quiet", "-"]
    image = subprocess.run(build, input=steps, capture_output=True, text=True, check=True).stdout.strip()
    made = cached() - before
    assert len(made) >= 2
    subprocess.run([DOCKER, "image", "rm", "--force", image], capture_output=True, check=True)
    prune(made)
    assert cached() & (before | made) == before
