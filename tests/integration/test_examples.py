"""Each example of deploy/examples, sent as it stands there: the data is read, and its model is good."""

from collections.abc import Callable
from pathlib import Path

import pytest

from service.commands.job_files import read_body
from tests.quality.cases import EXAMPLES
from tests.running_service import RunningService, seconds_of

LEAST = {
    "abalone": ("validation_r2", 0.45),
    "adult": ("validation_accuracy", 0.84),
    "breast_cancer": ("validation_accuracy", 0.9),
    "diabetes": ("validation_r2", 0.25),
    "iris": ("validation_accuracy", 0.85),
    "wine": ("validation_accuracy", 0.9),
}
"""What the few validation rows of a model that has learnt something give at least."""


@pytest.mark.parametrize("name", LEAST)
def test_an_example_trains_from_its_two_files(
    name: str, service: RunningService, record_property: Callable[[str, str], None]
) -> None:
    directory = EXAMPLES / name
    added = service.gradsum("dataset", "add", str(directory / f"{name}.csv"), "--name", name)
    assert added.returncode == 0, added.stderr
    with service.client() as client:
        *_, job = client.follow(client.submit_job(read_body(str(directory / "job.yaml")))["id"])
    assert job["status"] == "succeeded", job["error"]
    figure, least = LEAST[name]
    assert job["result"][figure] > least
    assert job["mlflow"]["model_version"] is not None or job["mlflow"]["status"] == "pending"
    record_property("example", f"{name} {seconds_of(job):.1f} s")


def test_every_example_has_its_data_its_job_and_where_it_is_from() -> None:
    names = {directory.name for directory in EXAMPLES.iterdir() if directory.is_dir()}
    assert names == {*LEAST, "digits", "nightly"}
    for name in names - {"nightly"}:
        readme = Path(EXAMPLES / name / "README.md").read_text(encoding="utf-8")
        assert f"gradsum job submit deploy/examples/{name}/job.yaml" in readme
        assert "CC BY" in readme or "BSD" in readme
        body = read_body(str(EXAMPLES / name / "job.yaml"))
        assert (EXAMPLES / name / f"{body['dataset']}.csv").is_file()
        if name != "digits":
            assert set(body) == {"dataset", "target", "tracking"}
