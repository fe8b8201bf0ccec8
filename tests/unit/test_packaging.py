"""What a build of Gradsum takes is fixed: for `make env`, and for the image of deploy/Dockerfile."""

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[2]
INSTALL = re.compile(r"pip (?:--\S+ \S+ )?install (.*)")


def installs(file: str) -> list[str]:
    """The options of every `pip install` in a file, one line each."""
    return INSTALL.findall((PROJECT / file).read_text(encoding="utf-8").replace("\\\n", ""))


def test_what_builds_the_package_has_one_version() -> None:
    required = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    assert required
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", requirement) for requirement in required)


def test_the_image_and_the_environment_install_what_is_locked_and_nothing_else() -> None:
    for options in [*installs("deploy/Dockerfile"), *installs("Makefile")[:2]]:
        assert "--no-deps" in options or "--constraint requirements.lock" in options
