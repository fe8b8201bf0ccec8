"""What a check of the storage that ended says about the settings."""

import subprocess
import sys
from pathlib import Path

import pytest

from service.storage_check import refusal
from workers.storage import Directory, StorageUnavailableError


def test_a_refusal_is_its_sentence_and_what_broke_down_is_none() -> None:
    assert refusal(1, "Error: The key is unknown.\n") == "The key is unknown."
    assert refusal(75, "Error: It does not answer.\n") is None
    assert refusal(0, "") is None
    crash = subprocess.run([sys.executable, "-c", "1 / 0"], capture_output=True, text=True, check=False)
    assert crash.returncode == 1
    assert refusal(crash.returncode, crash.stderr) is None


def test_a_directory_that_can_t_be_written_is_named_and_not_waited_for(tmp_path: Path) -> None:
    (file := tmp_path / "file").write_text("")
    with pytest.raises(StorageUnavailableError, match=f"directory {file}/storage can't be written") as error:
        Directory(file / "storage").check()
    assert error.value.refused
