"""The command line against a real service: every command, wrong requests, lost connections."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from service.client import Client
from service.connection import ClientError
from service.store.database import migrate
from tests.running_service import DIGITS, PROJECT, RunningService, ends_with_us, gradsum

ROWS = "width,height,colour,kind\n" + "".join(
    f"{0.1 * number},{0.2 * (number % 7)},{'red' if number % 3 else 'blue'},{'big' if number > 100 else 'small'}\n"
    for number in range(200)
)
JOB = "dataset: shapes\ntarget: kind\ntraining: {epochs: 30}\ntracking: {registered_model: shapes}\nname: shapes\n"


@pytest.fixture(scope="module")
def shapes(service: RunningService, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A dataset of the service."""
    file = tmp_path_factory.mktemp("shapes") / "shapes.csv"
    file.write_text(ROWS)
    return service.json("dataset", "add", str(file))


@pytest.fixture(scope="module")
def job(service: RunningService, shapes: dict[str, Any]) -> dict[str, Any]:
    """A job that succeeded."""
    assert shapes["status"] == "ready"
    return service.json("job", "submit", "-", "--follow", given=JOB)


def test_adding_a_dataset_waits_and_shows_what_was_understood(service: RunningService, tmp_path: Path) -> None:
    file = tmp_path / "sizes.csv"
    file.write_text("width;kind\n1,5;a\n2,5;b\n;c\n")
    done = service.gradsum("dataset", "add", str(file), "--option", "delimiter=;", "--option", "decimal=,")
    assert done.returncode == 0, done.stderr
    for said in ("sizes@1", "ready", "width", "number", "kind", "category"):
        assert said in done.stdout


def test_a_dataset_shows_how_far_it_is_while_the_service_reads_it(service: RunningService, tmp_path: Path) -> None:
    file = tmp_path / "long.csv"
    file.write_text("number,text\n" + "".join(f"{row},text {row}\n" for row in range(2_000_000)))
    dataset = service.json("dataset", "add", str(file), "--no-wait", "--option", "on_bad_rows=skip")
    with service.client() as client:
        while (found := client.dataset(dataset["id"]))["progress"] is None:
            assert found["status"] == "preparing"
            time.sleep(0.05)
        assert (found["status"], found["progress"]["of"]) == ("preparing", file.stat().st_size)
        client.delete_dataset(dataset["id"])


def test_a_dataset_is_fetched_from_where_the_operator_allows(service: RunningService) -> None:
    file = DIGITS / "digits.csv"
    dataset = service.json("dataset", "add", f"file://{file}", "--name", "imported")
    assert (dataset["status"], dataset["rows"], dataset["source"]["uri"]) == ("ready", 1797, f"file://{file}")
    assert service.json("dataset", "add", f"file://{file}", "--name", "imported")["id"] == dataset["id"]
    refused = service.gradsum("dataset", "add", "file:///etc/passwd")
    assert refused.returncode != 0
    assert "GRADSUM_IMPORT_ROOTS" in refused.stderr


def test_a_preview_adds_nothing(service: RunningService, tmp_path: Path) -> None:
    file = tmp_path / "looked-at.csv"
    file.write_text("width;kind\n1,5;a\n2,5;b\n;c\n")
    done = service.gradsum("dataset", "add", str(file), "--preview")
    assert done.returncode == 0, done.stderr
    for said in ("looked-at", "width", "number", '"1,5"  "2,5"  –', "category", "nothing was added"):
        assert said in done.stdout
    assert service.json("dataset", "list", "--name", "looked-at")["data"] == []


def test_a_preview_of_a_uri_adds_nothing(service: RunningService) -> None:
    done = service.gradsum("dataset", "add", f"file://{DIGITS}/digits.csv", "--name", "only-seen", "--preview")
    assert done.returncode == 0, done.stderr
    assert "nothing was added" in done.stdout
    assert service.json("dataset", "list", "--name", "only-seen")["data"] == []
    refused = service.gradsum("dataset", "add", "file:///etc/passwd", "--preview")
    assert refused.returncode != 0
    assert "GRADSUM_IMPORT_ROOTS" in refused.stderr


def test_a_preview_with_a_problem_is_no_success(service: RunningService, tmp_path: Path) -> None:
    file = tmp_path / "torn.csv"
    file.write_text("x,y\nbroken,1\n" + "1,2\n" * 300_000)
    done = service.gradsum("dataset", "add", str(file), "--preview")
    assert (done.returncode, "in row 2 ('broken')" in done.stdout) == (1, True), done.stderr
    done = service.gradsum("dataset", "add", str(file), "--preview", "--option", "on_bad_rows=skip")
    assert (done.returncode, "1 of these" in done.stdout) == (0, True), done.stderr


def test_datasets_are_listed_shown_and_removed(service: RunningService, tmp_path: Path) -> None:
    file = tmp_path / "passing.csv"
    for version in (1, 2):
        file.write_text(f"x,y\n1,{version}\n2,3\n")
        assert service.json("dataset", "add", str(file))["version"] == version
    assert service.json("dataset", "list", "--name", "passing")["data"][0]["version"] == 2
    assert service.json("dataset", "show", "passing")["version"] == 2
    assert service.json("dataset", "show", "passing@1")["version"] == 1
    assert "passing@2" in service.gradsum("dataset", "list").stdout
    assert service.json("dataset", "rm", "passing@1")["deleted"] is True
    assert service.gradsum("dataset", "show", "passing@1").returncode == 1


def test_a_followed_job_ends_with_its_result(service: RunningService, job: dict[str, Any]) -> None:
    assert job["status"] == "succeeded"
    assert job["mlflow"]["status"] == "current"
    shown = service.gradsum("job", "watch", job["id"])
    assert shown.returncode == 0, shown.stderr
    for said in (job["result"]["weights_sha256"], job["mlflow"]["run_url"], "validation accuracy", "version 1"):
        assert said in shown.stdout
    assert "30/30" in shown.stderr


def test_jobs_are_listed_and_shown(service: RunningService, job: dict[str, Any]) -> None:
    assert job["id"] in service.gradsum("job", "list").stdout
    assert service.json("job", "list", "--status", "succeeded")["data"][0]["object"] == "job"
    assert job["result"]["weights_sha256"] in service.gradsum("job", "show", job["id"]).stdout
    assert service.json("job", "show", job["id"])["id"] == job["id"]


def test_a_dry_run_says_what_the_job_would_be_and_makes_none(service: RunningService, shapes: dict[str, Any]) -> None:
    before = [listed["id"] for listed in service.json("job", "list")["data"]]
    answer = service.json("job", "submit", "-", "--dry-run", given=JOB)
    assert answer["spec"]["dataset"] == shapes["id"]
    assert "Nothing was submitted" in service.gradsum("job", "submit", "-", "--dry-run", given=JOB).stdout
    assert [listed["id"] for listed in service.json("job", "list")["data"]] == before


def test_weights_are_saved_whole(service: RunningService, job: dict[str, Any], tmp_path: Path) -> None:
    target = tmp_path / "weights.npz"
    done = service.gradsum("job", "weights", job["id"], "-o", str(target))
    assert done.returncode == 0, done.stderr
    assert set(np.load(target, allow_pickle=False)) >= {"weights_0", "biases_0"}
    assert os.listdir(tmp_path) == ["weights.npz"]  # noqa: PTH208 - names


def test_options_of_the_service_stand_before_or_after_the_command(service: RunningService, job: dict[str, Any]) -> None:
    nowhere = "http://127.0.0.1:1"
    for arguments in (["--url", service.url, "--json", "job", "list"], ["job", "list", "--json", "--url", service.url]):
        done = gradsum(*arguments, url=nowhere)
        assert done.returncode == 0, done.stderr
        assert job["id"] in [found["id"] for found in json.loads(done.stdout)["data"]]


@pytest.mark.usefixtures("job")
def test_predictions_are_the_same_from_csv_json_and_curl(service: RunningService, tmp_path: Path) -> None:
    rows = [{"width": 0.5, "height": 0.2, "colour": "red"}, {"width": 19.0, "height": 0.4, "colour": "blue"}]
    table = "colour,width,height\nred,0.5,0.2\nblue,19.0,0.4\n"
    from_csv = service.json("model", "predict", "shapes", "-", given=table)
    assert from_csv["predictions"] == ["small", "big"]
    assert service.json("model", "predict", "shapes", "-", "--version", "1", given=json.dumps(rows)) == from_csv
    answer = httpx2.post(f"{service.url}/v1/models/shapes/predict", json={"rows": rows}, trust_env=False)
    assert answer.json() == from_csv
    done = service.gradsum("model", "predict", "shapes", "-", "-o", str(tmp_path / "out.csv"), given=table)
    assert done.returncode == 0, done.stderr
    header, first, _ = (tmp_path / "out.csv").read_text().splitlines()
    assert header == "prediction,probability_big,probability_small"
    assert first.startswith("small,")
    assert "small" in service.gradsum("model", "predict", "shapes", "-", given=table).stdout


@pytest.mark.usefixtures("job")
def test_many_rows_are_predicted_in_several_requests(service: RunningService) -> None:
    table = "colour,width,height\n" + "red,0.5,0.2\n" * 20_000
    assert len(service.json("model", "predict", "shapes", "-", given=table)["predictions"]) == 20_000


def test_a_promoted_version_is_the_champion(service: RunningService, job: dict[str, Any]) -> None:
    assert job["status"] == "succeeded"
    service.json("job", "submit", "-", "--follow", given=JOB)
    assert service.json("model", "show", "shapes")["champion"] == 1
    service.json("model", "promote", "shapes", "2", "--reason", "better")
    assert service.json("model", "show", "shapes")["champion"] == 2
    service.json("model", "promote", "shapes", "1")
    assert "shapes" in service.gradsum("model", "list").stdout
    assert "champion" in service.gradsum("model", "show", "shapes").stdout


@pytest.mark.usefixtures("shapes")
def test_a_cancelled_job_ends_and_its_watcher_exits_with_1(service: RunningService) -> None:
    long = JOB.replace("epochs: 30", "epochs: 5000000").replace("tracking: {registered_model: shapes}\n", "")
    job = service.json("job", "submit", "-", given=long)
    _wait_for(lambda: service.json("job", "show", job["id"])["status"] == "running")
    with _start("job", "watch", job["id"], url=service.url) as watching:
        try:
            assert watching.stderr is not None
            assert "shapes, running" in watching.stderr.readline()
            watching.send_signal(signal.SIGINT)
            _, said = watching.communicate(timeout=30)
        finally:
            watching.kill()
    assert watching.returncode == 130, said
    assert f"gradsum job watch {job['id']}" in said
    assert service.json("job", "show", job["id"])["status"] == "running"
    assert service.json("job", "cancel", job["id"])["status"] in {"cancelling", "cancelled"}
    assert service.gradsum("job", "watch", job["id"]).returncode == 1
    again = service.gradsum("job", "cancel", job["id"])
    assert (again.returncode, "cancelled" in again.stderr) == (1, True)


WRONG: list[tuple[str, list[str], str | None, list[str]]] = [
    ("no such file", ["job", "submit", "nosuch.yaml"], None, ["There is no file 'nosuch.yaml'"]),
    ("malformed YAML", ["job", "submit", "-"], "dataset: [a\nb: c\n", ["not valid YAML", "line 2"]),
    ("unknown field", ["job", "submit", "-"], JOB + "targt: x\n", ["targt", "target"]),
    ("missing target", ["job", "submit", "-"], "dataset: shapes\n", ["target"]),
    ("wrong target", ["job", "submit", "-"], "dataset: shapes\ntarget: knd\n", ["knd", "kind"]),
    ("unknown dataset", ["job", "submit", "-"], "dataset: nosuch\ntarget: x\n", ["nosuch", "gradsum dataset add"]),
    ("layer of size 0", ["job", "submit", "-"], JOB + "network: {hidden_layers: [0]}\n", ["hidden_layers"]),
    ("NaN", ["job", "submit", "-"], JOB.replace("30", "30, learning_rate: .nan"), ["learning_rate", "finite"]),
    ("1e999", ["job", "submit", "-"], JOB.replace("30", "30, learning_rate: 1e999"), ["learning_rate", "finite"]),
    ("unknown job", ["job", "show", "job_nosuch"], None, ["job_nosuch"]),
    ("odd id", ["job", "show", "../../../etc/passwd"], None, ["There is nothing at"]),
    ("weights of no job", ["job", "weights", "job_nosuch", "-o", "/nonexistent/x"], None, ["/nonexistent"]),
    ("unknown status", ["job", "list", "--status", "nosuch"], None, ["status"]),
    ("limit 0", ["job", "list", "--limit", "0"], None, ["limit"]),
    ("unknown dataset shown", ["dataset", "show", "nosuch"], None, ["nosuch", "gradsum dataset list"]),
    ("file of a dataset missing", ["dataset", "add", "nosuch.csv"], None, ["There is no file 'nosuch.csv'"]),
    ("directory as dataset", ["dataset", "add", "deploy"], None, ["deploy"]),
    ("odd option", ["dataset", "add", "pyproject.toml", "--option", "delimiter"], None, ["key=value"]),
    ("unknown option", ["dataset", "add", str(DIGITS / "digits.csv"), "--option", "delimeter=;"], None, ["delimeter"]),
    ("unknown model", ["model", "predict", "nosuch", "-"], "x\n1\n", ["nosuch"]),
    ("unknown version", ["model", "predict", "shapes", "-", "--version", "99"], "width\n1\n", ["99"]),
    ("column missing", ["model", "predict", "shapes", "-"], "width,height\n1,2\n", ["colour"]),
    ("text for a number", ["model", "predict", "shapes", "-"], "width,height,colour\nwide,2,red\n", ["width"]),
    ("no rows", ["model", "predict", "shapes", "-"], "width,height,colour\n", ["no rows"]),
    ("promoting nothing", ["model", "promote", "shapes", "99"], None, ["99"]),
]


@pytest.mark.usefixtures("job")
@pytest.mark.parametrize(("arguments", "given", "said"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_a_wrong_request_is_one_line_and_exit_1(
    service: RunningService, arguments: list[str], given: str | None, said: list[str]
) -> None:
    done = service.gradsum(*arguments, given=given)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.startswith("Error: ")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout
    for words in said:
        assert words in done.stderr


FILES = {
    "empty": ("", "empty"),
    "ragged": ("a,b\n1,2\n3\n", "2"),
    "text among numbers": ("a,b\n" + "1,2\n" * 50 + "1,n/a\n", "n/a"),
}


@pytest.mark.parametrize(("text", "said"), FILES.values(), ids=FILES.keys())
def test_a_file_that_cant_be_used_is_one_line_and_exit_1(
    service: RunningService, tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "wrong.csv"
    file.write_text(text)
    done = service.gradsum("dataset", "add", str(file))
    assert done.returncode == 1
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_several_wrong_fields_are_a_line_each(service: RunningService) -> None:
    done = service.gradsum("job", "submit", "-", given="dataset: 3\ntarget: []\nnonsense: 1\n")
    assert done.returncode == 1
    head, *fields = done.stderr.splitlines()
    assert head.startswith("Error: ")
    assert [line.split()[0] for line in fields] == ["dataset", "target", "nonsense"]


def test_without_a_service_the_way_out_is_said(free_port: Callable[[], int]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = gradsum("job", "list", url=url)
    assert done.returncode == 1
    assert f"No Gradsum answers at {url}" in done.stderr
    assert "gradsum serve" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_wrong_usage_exits_with_2() -> None:
    assert gradsum("job", "submit", url="").returncode == 2
    assert gradsum("job", "submit", "-", "--follow", "--dry-run", url="", given="").returncode == 2
    assert gradsum("job", "pause", "x", url="").returncode == 2


def test_a_wrong_setting_is_one_line() -> None:
    done = gradsum("api", "--port", "0", url="")
    assert done.returncode == 1
    assert "GRADSUM_PORT" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_follower_reattaches_when_the_service_is_back(tmp_path: Path, free_port: Callable[[], int]) -> None:
    port = free_port()
    migrate(f"sqlite:///{tmp_path}/gradsum.sqlite")
    arguments = ("api", "--data-dir", str(tmp_path), "--port", str(port))
    with _process(*arguments) as api, Client(f"http://127.0.0.1:{port}") as client:
        _wait_for(lambda: _answers(client))
        file = tmp_path / "rows.csv"
        file.write_text("x,y\n1,2\n3,4\n")
        client.add_dataset(file, "rows")
        job = client.submit_job({"dataset": "rows", "target": "y"})
        lost: list[str] = []
        seen = client.follow(job["id"], lost.append, seconds=0.1)
        assert next(seen)["id"] == job["id"]
        api.kill()
        api.wait()
        with _process(*arguments):
            assert next(seen)["id"] == job["id"]
        assert lost


@contextmanager
def _process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`gradsum …` until the end of the block, where SIGTERM must end it cleanly if it still runs."""
    with _start(*arguments, url="") as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                _, said = process.communicate(timeout=30)
                assert process.returncode == 0, said


def _start(*arguments: str, url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "service.cli", *arguments],
        cwd=PROJECT,
        env={**os.environ, "GRADSUM_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=ends_with_us,  # noqa: PLW1509 - it makes one system call
    )


def _answers(client: Client) -> bool:
    try:
        client.ready()
    except ClientError:
        return False
    return True


def _wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)
