"""Data for which there is no room on disk: a small file system of its own, seen by one process only."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROWS = "a,b\n" + "".join(f"{number},{number}\n" for number in range(40_000))
IN_A_SMALL_ONE = 'mount -t tmpfs -o size=128k none "$1" && exec "$2" -c "$3" "$4"'
ANSWER = """
import json, os, sys
from service.prepare import answer
from workers.storage import storage_of
print(json.dumps(answer(json.loads(sys.argv[1]), storage_of(os.environ))))
"""


@pytest.mark.parametrize("work", ["fetch", "ingest"])
def test_no_room_on_disk_is_said_as_what_it_is(tmp_path: Path, work: str) -> None:
    (small := tmp_path / "small").mkdir()
    (tmp_path / "rows.csv").write_text(ROWS)
    messages: dict[str, dict[str, Any]] = {
        "fetch": {
            "uri": f"file://{tmp_path}/rows.csv", "rules": {"import_roots": [str(tmp_path)]},
            "s3": {"endpoint": "", "region": ""}, "limit_bytes": 10**9, "limit_seconds": 60,
        },
        "ingest": {"path": str(tmp_path / "rows.csv"), "options": {}, "limits": {}},
    }  # fmt: skip
    message = json.dumps({"id": 1, "do": work, "destination": str(small / "made"), **messages[work]})
    command = ["unshare", "-rm", "sh", "-c", IN_A_SMALL_ONE, "sh", str(small), sys.executable, ANSWER, message]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip(f"this machine lets nobody mount a small file system: {done.stderr.strip()}")
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "storage_full"
    assert "no room left on disk" in error["message"]
