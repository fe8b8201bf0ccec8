"""Pages in a real browser: MLflow's of a job's run, with its figures and its plots, and our documentation."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from service.client import Client
from tests.compose.cluster import Cluster, run, tracked
from tests.compose.test_1_training import job_of

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert path, f"No browser: install one of {', '.join(BROWSERS)} (Debian: apt-get install chromium)."
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


def test_a_browser_shows_the_documentation_and_asks_no_other_host(cluster: Cluster, browser: Browser) -> None:
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{cluster.url}/docs")
    page.get_by_text("Accept a job").first.wait_for(timeout=60_000)
    page.wait_for_load_state("networkidle")
    assert [url for url in asked if not url.startswith((f"{cluster.url}/", "data:", "blob:"))] == []


@pytest.mark.usefixtures("datasets")
def test_a_browser_shows_the_run_behind_the_job_s_link(
    cluster: Cluster, client: Client, browser: Browser, tmp_path: Path
) -> None:
    job_id = run(client, job_of("digits", 2))["id"]
    tracked(client)
    link = client.job(job_id)["mlflow"]["run_url"]
    picture = Path(os.environ.get("GRADSUM_SCREENSHOT", tmp_path / "mlflow.png"))
    account = {"username": "gradsum", "password": cluster.mlflow_password()}
    page = browser.new_context(http_credentials=account, viewport={"width": 1400, "height": 900}).new_page()
    page.goto(link)
    page.get_by_text("weights_sha256").or_(page.get_by_text("validation_accuracy")).first.wait_for(timeout=60_000)
    page.goto(f"{link}/artifacts/plots/loss.png")
    page.get_by_text("loss_curve.csv").first.wait_for(timeout=60_000)
    page.goto(f"{link}/model-metrics")
    page.get_by_placeholder("Search metric charts").fill("^(loss|validation_loss|validation_accuracy|gradient_norm)$")
    page.get_by_text("validation_loss").first.wait_for(timeout=60_000)
    page.wait_for_timeout(4_000)  # the charts are drawn
    page.screenshot(path=picture, clip={"x": 0, "y": 0, "width": 1034, "height": 760})
    assert picture.stat().st_size > 20_000
