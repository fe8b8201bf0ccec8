"""`make demo`: the whole service, one dataset, one job over HTTP, its result; then nothing is left running."""

import csv
import itertools
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from service.client import Client
from service.commands.job_files import read_body
from service.commands.session import PLAIN_WIDTH
from service.connection import Answer, ClientError
from service.demo_service import DemoError, DemoService, Interrupts, free_settings, token_for
from service.job_rendering import show_result
from service.model_rendering import predictions_table
from service.rendering import duration, figure, printable, show_pairs
from service.settings import SettingsError, load_settings
from service.watching import wait_for_record, watch

EXAMPLE = Path(__file__).parent.parent / "deploy" / "examples" / "digits"
NAME = "digits"
N_ROWS_SHOWN = 8
READING_SECONDS = 60.0
RECORDING_SECONDS = 60.0


def main() -> int:
    """The exit code: 0 on success, 1 with a sentence on failure, 130 after Ctrl-C."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    interrupts = Interrupts()
    started = time.monotonic()
    try:
        settings = free_settings(load_settings(), lambda text: _say(console, text))
        with DemoService(settings, interrupts) as service:
            service.start()
            with console.status("Starting the service: API, Ray, dispatcher, tracker, MLflow …"):
                service.wait_until_ready()
            _say(console, f"The service is up after {duration(time.monotonic() - started)}: {settings.api_url}/docs")
            with Client(settings.api_url, token_for(settings)) as client, service.answering():
                train_and_predict(client, service, console)
            with console.status("Stopping the service …"):
                service.stop()
    except KeyboardInterrupt:
        console.print("Stopped; nothing is left running.")
        return 130
    except (DemoError, ClientError, SettingsError) as error:
        Console(stderr=True, highlight=False).print(f"Error: {printable_lines(error)}", markup=False, soft_wrap=True)
        return 1
    console.print("\nThe service is stopped; what it made is kept. Look at it again: make serve")
    console.print(f"  API and its documentation: {settings.api_url}/docs", markup=False)
    console.print(f"  MLflow:                    {settings.mlflow_public_url}", markup=False)
    return 0


def train_and_predict(client: Client, service: DemoService, console: Console) -> None:
    """Upload the digits, train on them and predict some. DemoError where one of it does not end well."""
    dataset = _upload(client, service)
    _say(console, f"Dataset {NAME}: {dataset['rows']:,} rows, {len(dataset['columns'])} columns.")
    submitted = time.monotonic()
    job = client.submit_job(read_body(str(EXAMPLE / "job.yaml")))
    job = watch(client, job["id"], console, service.check)
    took = time.monotonic() - submitted
    if job["status"] != "succeeded":
        raise DemoError(f"The job {job['status']}: {(job['error'] or {}).get('message', 'no reason is known')}")
    job = wait_for_record(client, job, console, RECORDING_SECONDS)
    if job["mlflow"]["status"] != "current":
        raise DemoError(
            f"MLflow does not have the run after {RECORDING_SECONDS:.0f} s.\n{service.last_lines('mlflow')}"
        )
    console.print()
    show_result(console, job)
    show_pairs(
        console, "Time", [("submission to first epoch", first_epoch(job)), ("submission to result", duration(took))]
    )
    _predict(client, job, console)


def first_epoch(job: Answer) -> str:
    """How long after its submission the job was seen to train."""
    training = {"running", "succeeded"}
    seen = next((change["at"] for change in job["transitions"] if change["status"] in training), None)
    if seen is None:
        return "unknown"
    return duration((datetime.fromisoformat(seen) - datetime.fromisoformat(job["created_at"])).total_seconds())


def printable_lines(text: object) -> str:
    """The text with its line ends, without other control characters."""
    return "\n".join(printable(line) for line in str(text).splitlines())


def _upload(client: Client, service: DemoService) -> Answer:
    dataset = client.add_dataset(EXAMPLE / "digits.csv", NAME)
    deadline = time.monotonic() + READING_SECONDS
    while dataset["status"] == "preparing":
        service.check()
        if time.monotonic() > deadline:
            raise DemoError(f"The dataset was not read in {READING_SECONDS:.0f} s.\n{service.last_lines()}")
        time.sleep(0.1)
        dataset = client.dataset(dataset["id"])
    if dataset["status"] == "failed":
        raise DemoError(f"The dataset can't be used: {dataset['error']['message']}")
    return dataset


def _predict(client: Client, job: Answer, console: Console) -> None:
    """The first rows' predictions by the job's own version, beside the truth."""
    version = int(job["mlflow"]["model_version"])
    rows, truth = _first_rows()
    answer = client.predict(NAME, rows, version)
    title = f"\nPOST /v1/models/{NAME}/predict, version {version}, the first {len(rows)} rows"
    console.print(title, style="bold", markup=False)
    console.print(predictions_table(answer["predictions"], answer["probabilities"], truth))
    right = sum(predicted == true for predicted, true in zip(answer["predictions"], truth, strict=True))
    console.print(f"{right} of {figure(len(rows))} are right.")


def _first_rows() -> tuple[list[dict[str, Any]], list[int]]:
    """Rows without their target, and the targets."""
    with (EXAMPLE / "digits.csv").open(newline="") as file:
        rows = [
            {name: int(cell) for name, cell in row.items()}
            for row in itertools.islice(csv.DictReader(file), N_ROWS_SHOWN)
        ]
    return [{name: value for name, value in row.items() if name != "digit"} for row in rows], [
        row["digit"] for row in rows
    ]


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
