"""Time zones are known where the system has no database of them."""

import subprocess
import sys


def test_zones_are_known_without_the_database_of_the_system() -> None:
    code = "from service.cron import parse_timezone; print(parse_timezone('Europe/Oslo'))"
    found = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONTZPATH": ""}, capture_output=True, text=True, timeout=60, check=False
    )
    assert found.stdout == "Europe/Oslo\n", found.stderr
