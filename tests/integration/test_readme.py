"""The README's code blocks, taken from the README and run, on a service of their own."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from service.commands.job_files import SCHEDULE, read_body
from tests.running_service import PROJECT, RunningService, seconds_of

BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
SECONDS = 240


def blocks(language: str) -> list[str]:
    """The README's blocks in a language, in order."""
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    return [code for name, code in BLOCK.findall(text) if name == language]


def _block(language: str, words: str) -> str:
    """The one block in a language that has these words in it."""
    [found] = [code for code in blocks(language) if words in code]
    return found


def shell(code: str, service: RunningService) -> str:
    """What a block of shell prints, typed by someone whose service has other ports than the README's."""
    return run(["/bin/bash", "-euo", "pipefail", "-c", at(code, service)], service)


def python(code: str, service: RunningService, *arguments: str) -> str:
    """What a block of Python prints."""
    return run([sys.executable, "-c", at(code, service), *arguments], service)


def run(command: list[str], service: RunningService) -> str:
    """What a command prints that is run in the project's directory and has to succeed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # as in an environment that is activated
    environment = {**os.environ, "PATH": path, "GRADSUM_URL": service.url}
    done = subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def at(code: str, service: RunningService) -> str:
    """The code with this service's addresses in place of the default ones."""
    return code.replace("http://127.0.0.1:8000", service.url).replace("http://127.0.0.1:5000", service.mlflow_url)


def test_the_two_commands_are_targets_of_make() -> None:
    """`make demo` is run by test_demo.py; `make serve` is what the `service` fixture runs."""
    assert blocks("sh")[:2] == ["make demo\n", "make serve\n"]
    for block in blocks("sh")[:2]:
        assert subprocess.run([*block.split(), "-n"], cwd=PROJECT, capture_output=True, check=False).returncode == 0


def test_the_commands_of_the_readme_do_what_it_says(
    service: RunningService, tmp_path: Path, record_property: Callable[[str, str], None]
) -> None:
    _, _, use, curl, *_ = blocks("sh")
    if not (PROJECT / ".venv").is_dir():
        use = use.replace(". .venv/bin/activate\n", "")
    printed = shell(use, service)
    assert "succeeded" in printed
    assert "weights_sha256" in printed

    job = json.loads(shell(curl, service))
    assert job["status"] == "queued"
    assert "auto" not in json.dumps(job["spec"]["training"])

    load, check = blocks("python")
    assert "prediction" in python(load, service)

    listed = service.json("job", "list")["data"]
    digits = next(row for row in listed if row["spec"]["tracking"]["registered_model"] == "digits")
    record_property("example", f"digits {seconds_of(digits):.1f} s")
    weights = tmp_path / "weights.npz"
    assert service.gradsum("job", "weights", digits["id"], "-o", str(weights)).returncode == 0
    assert python(check, service, str(weights)).strip() == digits["result"]["weights_sha256"]
    assert shutil.which("curl")


def test_the_schedule_of_the_readme_is_the_example_and_fires(service: RunningService, tmp_path: Path) -> None:
    shown, example = _block("yaml", "cron:"), PROJECT / "deploy" / "examples" / "nightly" / "schedule.yaml"
    shown_file = tmp_path / "shown.yaml"
    shown_file.write_text(shown, encoding="utf-8")
    assert read_body(str(shown_file), SCHEDULE) == read_body(str(example), SCHEDULE)

    incoming, ours, moved = "/tmp/gradsum-incoming", str(service.data_dir / "incoming"), tmp_path / "schedule.yaml"  # noqa: S108
    moved.write_text(example.read_text(encoding="utf-8").replace(incoming, ours), encoding="utf-8")
    code = _block("sh", "schedule add").replace(incoming, ours).replace(str(example.relative_to(PROJECT)), str(moved))
    try:
        printed = shell(code, service)
        assert "At 03:00 every day, Europe/Oslo time" in printed
        assert "fired" in printed
        assert "failed_to_submit" not in printed
    finally:
        service.gradsum("schedule", "rm", "digits-nightly")
