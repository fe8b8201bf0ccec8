"""Column files that were changed on disk: no job trains on them, and the same data added again puts it right."""

import json
from pathlib import Path

from tests.running_service import RunningService

ROWS = "changed,kind\n" + "".join(f"{number},{'ab'[number % 2]}\n" for number in range(60))
JOB = "dataset: {name}\ntarget: kind\npreset: textbook\ntraining: {{epochs: 2}}\n"


def test_a_job_fails_that_names_the_changed_dataset(service: RunningService, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(ROWS)
    service.json("dataset", "add", str(tmp_path / "rows.csv"), "--name", "changed")
    (described,) = (
        found for found in service.data_dir.rglob("columns.json") if '"changed"' in found.read_text(encoding="utf-8")
    )
    file = described.with_name("000000.npy")
    written = file.read_bytes()
    file.write_bytes(written[:-1] + b"\x01")
    done = service.gradsum("job", "submit", "-", "--follow", "--json", given=JOB.format(name="changed"))
    error = json.loads(done.stdout)["error"]
    assert (done.returncode != 0, error["code"]) == (True, "data_changed")
    assert "'changed@1'" in error["message"]
    assert "000000.npy" in error["message"]
    service.json("dataset", "add", str(tmp_path / "rows.csv"), "--name", "repaired")
    assert file.read_bytes() == written
    job = service.json("job", "submit", "-", "--follow", given=JOB.format(name="changed"))
    assert job["status"] == "succeeded"
