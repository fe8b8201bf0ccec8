"""How far the reading of a file is: what is told, how often, what is recorded of it, how it looks."""

import gzip
import io
import json
from collections.abc import Iterator
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from rich.console import Console

from service.advancing import RECORD_SECONDS, Advancing
from service.dataset_rendering import amount
from service.decisions import Decision, Facts, decide
from service.facts import Sources
from service.ingest import ingest_file
from service.prepare import teller
from service.progress import TELL_SECONDS, Phase, Progress, ToldProgress, Unit
from service.store import datasets
from service.store.database import Database, migrate
from service.waiting import bar
from tests.unit.test_decisions import JOB

BLOCK = 2**22
SOME = {"phase": "reading", "unit": "bytes", "done": 1, "of": 4}
MORE = {**SOME, "done": 2}


class Heard(Progress):
    """Everything that is said, however often."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, str, int | None]] = []
        self.said: list[list[int]] = []

    def begin(self, phase: Phase, of: int | None, unit: Unit = "bytes") -> None:
        self.begun.append((phase, unit, of))
        self.said.append([])

    def at(self, done: int) -> None:
        self.said[-1].append(done)


def heard(tmp_path: Path, content: bytes, **options: Any) -> Heard:
    path, progress = tmp_path / "upload", Heard()
    path.write_bytes(content)
    ingest_file(path, options, tmp_path / "dataset", {"columns": 10}, progress)
    return progress


def test_a_csv_file_is_told_in_the_bytes_of_its_blocks(tmp_path: Path) -> None:
    content = b"a\n" + b"17\n" * 3_000_000
    progress = heard(tmp_path, content)
    size, column_bytes = len(content), (tmp_path / "dataset" / "000000.npy").stat().st_size
    assert progress.begun == [
        ("checking", "bytes", size),
        ("reading", "bytes", size),  # the first chunk, of which the rest is guessed
        ("reading", "bytes", size),
        ("keeping", "bytes", column_bytes),
    ]
    assert progress.said == [[BLOCK, 2 * BLOCK, size], [], [BLOCK, 2 * BLOCK, size], [column_bytes]]


def test_a_file_in_gzip_is_told_in_its_own_bytes_while_it_is_expanded(tmp_path: Path) -> None:
    content = gzip.compress(b"a\n" + b"17\n" * 1_000_000)
    progress = heard(tmp_path, content)
    assert progress.begun[:2] == [("expanding", "bytes", len(content)), ("checking", "bytes", 3_000_002)]
    assert progress.said[0] == sorted(progress.said[0])
    assert progress.said[0][-1] == len(content)


def test_a_file_with_types_is_told_in_rows(tmp_path: Path) -> None:
    file = io.BytesIO()
    pyarrow.parquet.write_table(pa.table({"a": list(range(150_000))}), file)
    progress = heard(tmp_path, file.getvalue())
    assert progress.begun[1] == ("reading", "rows", 150_000)
    assert progress.said[1] == [2**16, 2**17, 150_000]


def test_a_file_that_is_read_more_than_once_begins_anew(tmp_path: Path) -> None:
    progress = heard(tmp_path, b"a\n1\nx\n3\n", on_bad_rows="skip", types={"a": "number"})
    readings = [said for (phase, *_), said in zip(progress.begun, progress.said, strict=True) if phase == "reading"]
    assert len(readings) > 2
    assert readings == [[8]] * len(readings)


def test_it_is_told_at_once_and_then_twice_a_second_at_most() -> None:
    now, told = [100.0], list[dict[str, Any]]()
    progress = ToldProgress(told.append, lambda: now[0])
    progress.begin("fetching", None)
    progress.expect(1000)
    for done in range(1, 1001):
        now[0] += TELL_SECONDS / 100
        progress.at(done)
    assert told[0] == {"phase": "fetching", "unit": "bytes", "done": 0, "of": None}
    assert [each["of"] for each in told[1:]] == [1000] * (len(told) - 1)
    assert len(told) in {10, 11}
    assert [each["done"] for each in told] == sorted({each["done"] for each in told})


def test_a_new_phase_is_told_when_it_begins() -> None:
    told: list[dict[str, Any]] = []
    progress = ToldProgress(told.append, lambda: 100.0)
    progress.begin("reading", 10)
    progress.at(5)
    progress.begin("keeping", 20)
    assert [(each["phase"], each["done"]) for each in told] == [("reading", 0), ("keeping", 0)]


def test_more_than_was_announced_is_of_an_unknown_number() -> None:
    told: list[dict[str, Any]] = []
    progress = ToldProgress(told.append, iter(range(100)).__next__)
    progress.begin("fetching", 10)
    progress.at(11)
    assert [each["of"] for each in told] == [10, None]


def test_nobody_waits_for_who_does_not_listen_and_what_is_told_comes_whole() -> None:
    ours, theirs = Pipe()
    with ours, theirs:
        tell = teller(theirs, 7)
        for _ in range(20_000):
            tell(SOME)
        assert ours.poll()
        while ours.poll():
            assert json.loads(ours.recv_bytes()) == {"id": 7, "progress": SOME}
        ours.close()
        tell(SOME)  # to nobody


@pytest.mark.parametrize(
    ("progress", "said"),
    [
        (None, "The dataset is being read."),
        ({**SOME, "done": 3}, "Dataset 'people@2' is being read: 70 %."),
        ({**SOME, "phase": "fetching"}, "Dataset 'people@2' is being fetched: 20 %."),
        ({**SOME, "phase": "fetching", "of": None}, "The dataset is being read."),
        ({**SOME, "phase": "checking"}, "The dataset is being read."),
    ],
)
def test_a_job_that_waits_says_how_far_its_dataset_is_in_steps_of_ten_per_cent(
    progress: dict[str, Any] | None, said: str
) -> None:
    ready = outline("ready", None)
    for sources in (Sources(outline("preparing", progress)), Sources(ready, outline("preparing", progress))):
        assert sources.how_far == said
        facts = Facts(sources.status, has_driver=False, slots=2, free_slots=2, how_far=sources.how_far)
        assert decide(JOB, facts) == Decision("wait", "waiting_for_data", said)


def outline(status: str, progress: dict[str, Any] | None) -> datasets.DatasetOutline:
    return datasets.DatasetOutline(
        sequence=1, id="ds_1", project="default", actor="anonymous", group_id=None, name="people", version=2,
        created_at="", tags={}, status=status, options={}, source={}, sha256="", content_key="", bytes=0, rows=None,
        rejected_rows=None, error=None, progress=progress,
    )  # fmt: skip


class Record:
    """Datasets in a database, and a clock."""

    def __init__(self, database: Database) -> None:
        self.database, self.now = database, 100.0
        self.advancing = Advancing(database, lambda: self.now)

    def add(self) -> datasets.Dataset:
        with self.database.write() as connection:
            dataset, _ = datasets.add(
                connection, id=datasets.new_id(), project="default", actor="anonymous", name=datasets.new_id()[3:],
                options={}, source={}, sha256="a", content_key=datasets.new_id(), bytes=1, tags={},
            )  # fmt: skip
        return dataset

    def seen(self, dataset: datasets.Dataset) -> datasets.Dataset:
        with self.database.read() as connection:
            found = datasets.get(connection, dataset.id)
        assert found is not None
        return found

    def after(self, seconds: float, dataset: datasets.Dataset) -> Any:
        self.now += seconds
        self.advancing.record()
        return self.seen(dataset).progress


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Record]:
    url = f"sqlite:///{tmp_path}/gradsum.sqlite"
    migrate(url)
    database = Database(url)
    yield Record(database)
    database.close()


def test_it_is_recorded_once_a_second_for_each_dataset(record: Record) -> None:
    first, second = record.add(), record.add()
    say = record.advancing.begin(first)
    say(SOME)
    assert record.after(RECORD_SECONDS / 2, first) is None
    assert record.after(RECORD_SECONDS / 2, first) == SOME
    record.advancing.begin(second)({**SOME, "phase": "fetching"})
    say(MORE)
    assert record.after(RECORD_SECONDS / 2, first) == SOME
    assert record.after(RECORD_SECONDS / 2, first) == MORE
    assert record.seen(second).progress == {**SOME, "phase": "fetching"}


def test_what_has_not_changed_is_not_written_again(record: Record) -> None:
    dataset = record.add()
    record.advancing.begin(dataset)(SOME)
    assert record.after(RECORD_SECONDS, dataset) == SOME
    with record.database.write() as connection:
        datasets.advance(connection, dataset.id, MORE)  # by whoever else
    assert record.after(RECORD_SECONDS, dataset) == MORE


def test_who_begins_again_forgets_what_was_said_before(record: Record) -> None:
    dataset = record.add()
    record.advancing.begin(dataset)(SOME)
    assert record.after(RECORD_SECONDS, dataset) == SOME
    record.advancing.over(dataset.id)
    record.advancing.begin(record.seen(dataset))
    assert record.after(0, dataset) is None


@pytest.mark.parametrize("end", ["finish", "fail"])
def test_a_dataset_that_is_final_has_no_progress(record: Record, end: str) -> None:
    dataset = record.add()
    say = record.advancing.begin(dataset)
    say(SOME)
    assert record.after(RECORD_SECONDS, dataset) == SOME
    with record.database.write() as connection:
        if end == "finish":
            datasets.finish(connection, dataset.id, 1, 0, [])
        else:
            datasets.fail(connection, dataset.id, {"code": "internal", "message": ""})
    assert record.seen(dataset).progress is None
    say(MORE)  # from one that was replaced
    assert record.after(RECORD_SECONDS, dataset) is None


def test_an_amount_is_as_much_as_is_known() -> None:
    assert amount({"unit": "bytes", "done": 1_640_000_000, "of": 4_000_000_000}) == "41 %, 1.6 GB of 4.0 GB"
    assert amount({"unit": "rows", "done": 1000, "of": 4000}) == "25 %, 1,000 rows of 4,000 rows"
    assert amount({"unit": "bytes", "done": 0, "of": 0}) == "0 %, 0 bytes of 0 bytes"
    assert amount({"unit": "bytes", "done": 1200, "of": None}) == "1.2 kB"


@pytest.mark.parametrize(("is_terminal", "shown"), [(True, True), (True, False), (False, True)])
def test_the_bar_is_for_terminals(*, is_terminal: bool, shown: bool) -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=is_terminal, width=120)
    with bar(console, shown=shown) as line:
        for progress in (None, SOME, MORE, {**SOME, "phase": "keeping", "of": None}):
            line.show({"name": "people", "progress": progress})
    text = file.getvalue()
    expected = is_terminal and shown
    assert [said in text for said in ("people waits", "reading people", "50 %, 2 bytes of 4 bytes")] == [expected] * 3
    assert ("keeping people" in text, text == "") == (expected, not expected)
