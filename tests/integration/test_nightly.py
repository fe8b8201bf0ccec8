"""The nightly example over a fortnight: what the ledger, the jobs, the model and the README say of it at the end."""

import io
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from service.commands.session import PLAIN_WIDTH
from service.processes import adopt_orphans
from service.rendering import show_list
from service.schedule_rendering import FIRING_COLUMNS
from service.settings import Settings
from tests.integration.conftest import running_api
from tests.integration.fortnight import DAYS, INCOMING, NEWEST_GOOD, NIGHTS, Fortnight, moment, run_export, running_ray
from tests.leaks import SPARED, left_after, snapshot
from tests.running_service import DIGITS, PROJECT


@pytest.fixture(scope="module")
def fortnight(pytestconfig: pytest.Config) -> Iterator[Fortnight]:
    adopt_orphans()
    spared = pytestconfig.stash.get(SPARED, None)
    before = snapshot(spared)
    directory = Path(tempfile.mkdtemp(prefix="gs-", dir="/tmp"))
    incoming = directory / "incoming"
    incoming.mkdir()
    settings = Settings(data_dir=directory / "data", worker_slots=2, import_roots=(incoming,))
    settings.data_dir.mkdir()
    with running_ray(settings) as environment, running_api(settings) as api, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        made = Fortnight(api, incoming)
        try:
            for day, night in zip(DAYS, NIGHTS, strict=True):
                made.pass_by(day, night)
            yield made
        finally:
            made.dispatcher.run(lambda: True)
    shutil.rmtree(directory)
    left = left_after(before, spared)
    assert not left, "left behind: " + "; ".join(left)


def test_each_of_the_fourteen_due_times_ends_as_planned_and_says_why(fortnight: Fortnight) -> None:
    rows = fortnight.rows
    assert [row["due_at"] for row in rows] == [moment(day, 3).isoformat().replace("+00:00", "Z") for day in DAYS]
    for row, night in zip(rows, NIGHTS, strict=True):
        assert (row["outcome"], row["job_status"], row["verdict"]) == (night.outcome, night.job, night.verdict), row
        assert night.reason in (row["reason"] or row["verdict_reason"]), row


def test_what_the_ledger_says_the_job_and_the_model_version_say_too(fortnight: Fortnight) -> None:
    model = fortnight.api.http.get("/v1/models/digits-nightly").json()
    versions = {version["job_id"]: version for version in model["versions"]}
    judged = [row for row in fortnight.rows if row["verdict"]]
    assert len(judged) == len(versions) == NEWEST_GOOD
    for row in judged:
        job = fortnight.api.http.get(f"/v1/jobs/{row['job_id']}").json()
        for told in (job["verdict"], versions[row["job_id"]]["verdict"]):
            assert (told["verdict"], told["reason"]) == (row["verdict"], row["verdict_reason"])


def test_the_newest_good_model_serves_and_says_that_it_answers(fortnight: Fortnight) -> None:
    model = fortnight.api.http.get("/v1/models/digits-nightly").json()
    assert model["champion"] == NEWEST_GOOD
    header, first, *_ = (DIGITS / "digits.csv").read_text().splitlines()
    *pixels, digit = map(int, first.split(","))
    rows = [dict(zip(header.split(",")[:-1], pixels, strict=True))]
    answer = fortnight.api.http.post("/v1/models/digits-nightly/predict", json={"rows": rows}).json()
    assert answer["version"] == NEWEST_GOOD
    assert int(answer["predictions"][0]) == digit


def test_the_readme_shows_this_ledger_as_the_command_line_does(fortnight: Fortnight) -> None:
    console = Console(file=io.StringIO(), width=PLAIN_WIDTH, highlight=False)
    ledger = json.loads(json.dumps(fortnight.ledger).replace(str(fortnight.incoming), INCOMING))
    show_list(console, ledger, FIRING_COLUMNS, "")
    assert isinstance(console.file, io.StringIO)
    printed = console.file.getvalue()
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"```\n(due \(UTC\).*?)```", readme, re.DOTALL)
    assert shown is not None, printed
    assert told(shown[1]) == told(printed), printed
    assert fortnight.schedule["in_words"] in readme


def told(table: str) -> list[tuple[str, str]]:
    """Each row's cells and its reason, without ids and figures, which are others on another machine."""
    header, *lines = table.splitlines()
    place = header.index("reason")
    rows: list[tuple[str, str]] = []
    for line in lines:
        cells, reason = line[:place].rstrip(), line[place:].strip()
        if cells:
            rows.append((re.sub(r"job_\w+", "job_…", cells), reason))
        else:
            rows[-1] = (rows[-1][0], f"{rows[-1][1]} {reason}")
    return [(cells, re.sub(r"job_\w+|[-+]?\d[\d.,]*(e-?\d+)?", "#", reason)) for cells, reason in rows]


def test_the_example_exports_one_file_for_a_day_and_no_new_rows_on_a_sunday(tmp_path: Path) -> None:
    saturday, sunday = (run_export(tmp_path / "new", f"2026-03-{day}") for day in (28, 29))
    again = run_export(tmp_path, "2026-03-28")
    assert saturday.read_bytes() == sunday.read_bytes() == again.read_bytes()
    assert [path.name for path in sorted(saturday.parent.iterdir())] == ["digits-2026-03-28.csv", sunday.name]
