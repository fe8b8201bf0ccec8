import io
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from service.client import joined
from service.commands.datasets import is_unchanged
from service.commands.job_files import CHANGES, JOB, SCHEDULE, Kind, read_body, read_json_rows, read_options
from service.commands.session import CommandError, Session
from service.connection import ApiError, Connection, Unreachable
from service.job_rendering import epochs_of, figures, show_report
from service.rendering import duration, printable
from service.version import version_of_gradsum
from service.watching import summary

DIGITS = Path(__file__).parent.parent.parent / "deploy" / "examples" / "digits"


def body_of(directory: Path, text: str, name: str = "job.yaml") -> object:
    file = directory / name
    file.write_text(text)
    return read_body(str(file))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("1e-3", 1e-3),
        ("3.0", 3.0),
        (".5", 0.5),
        ("30", 30),
        ("-1", -1),
        ("007", "007"),
        ("1:30", "1:30"),
        ("0x10", "0x10"),
        ("on", "on"),
        ("yes", "yes"),
        ("true", True),
        ("null", None),
        ("", None),
        ("2026-11-24", "2026-11-24"),
        ("'30'", "30"),
        ("[30, 10]", [30, 10]),
        ("digits@3", "digits@3"),
    ],
)
def test_plain_words_of_yaml_mean_what_they_look_like(tmp_path: Path, written: str, meant: object) -> None:
    assert body_of(tmp_path, f"value: {written}\n") == {"value": meant}


def test_json_is_read_whatever_the_file_is_called(tmp_path: Path) -> None:
    assert body_of(tmp_path, '{\n\t"epochs": 10\n}') == {"epochs": 10}
    assert body_of(tmp_path, '{"epochs": 10}', "job.json") == {"epochs": 10}
    assert body_of(tmp_path, "{dataset: digits, target: digit}") == {"dataset": "digits", "target": "digit"}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("job.yaml", "dataset: digits\ntarget: [digit\nname: x\n", "line 3"),
        ("job.yaml", "dataset: digits\ndataset: other\n", "'dataset' stands twice in line 2"),
        ("job.yaml", "dataset: a\n\tname: b\n", "line 2"),
        ("job.yaml", "just words", "holds no fields"),
        ("job.yaml", "", "holds no fields"),
        ("job.yaml", "- a\n- b\n", "holds no fields"),
        ("job.yaml", "value: !!python/object/apply:os.getcwd []\n", "line 1"),
        ("job.json", '{"dataset": }', "line 1"),
        ("job.json", '{"dataset": "a", "dataset": "b"}', "'dataset' stands twice"),
        pytest.param("job.yaml", "[" * 100_000, "not valid YAML", id="deep YAML"),
        pytest.param("job.json", "[" * 100_000, "not valid JSON", id="deep JSON"),
    ],
)
def test_a_job_file_that_cant_be_read_is_a_sentence_with_the_place(
    tmp_path: Path, name: str, text: str, said: str
) -> None:
    with pytest.raises(CommandError, match=said):
        body_of(tmp_path, text, name)


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        (SCHEDULE, "just words", "a schedule file begins like"),
        (CHANGES, "[1]", "a file of changes begins like"),
        (JOB, "name: nightly\njob: {dataset: digits}\n", "is a schedule file.*gradsum schedule add"),
        (SCHEDULE, "dataset: digits\ntarget: digit\n", "is a job file.*gradsum job submit"),
    ],
)
def test_a_file_for_another_command_is_told_from_one_that_is_wrong(
    tmp_path: Path, kind: Kind, text: str, said: str
) -> None:
    file = tmp_path / "file.yaml"
    file.write_text(text)
    with pytest.raises(CommandError, match=said):
        read_body(str(file), kind)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(CommandError, match=r"There is no file 'nosuch\.yaml'"):
        read_body("nosuch.yaml")


def test_the_example_of_the_digits_is_a_textbook_job() -> None:
    body = read_body(str(DIGITS / "job.yaml"))
    assert isinstance(body, dict)
    assert body["preset"] == "textbook"
    assert body["training"]["epochs"] == 1000
    assert body["tracking"] == {"registered_model": "digits"}


def rows_of(directory: Path, text: str) -> object:
    file = directory / "rows"
    file.write_text(text)
    return read_json_rows(str(file))


@pytest.mark.parametrize("text", ['[{"x": 1}, {"x": 2}]', '{"rows": [{"x": 1}, {"x": 2}]}', '{"x": 1}\n{"x": 2}\n'])
def test_rows_are_the_same_from_json_and_json_lines(tmp_path: Path, text: str) -> None:
    assert rows_of(tmp_path, text) == [{"x": 1}, {"x": 2}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1}\n{"a": \n', "in line 2"),
        ("[]", "no rows"),
    ],
)
def test_rows_that_cant_be_read_are_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(CommandError, match=said):
        rows_of(tmp_path, text)


def test_options_are_text_unless_they_are_lists_objects_or_booleans() -> None:
    pairs = ["delimiter=;", "decimal=,", "header=false", 'missing_markers=["", "NA"]', "types.zip=category", "format=1"]
    assert read_options(pairs) == {
        "delimiter": ";",
        "decimal": ",",
        "header": False,
        "missing_markers": ["", "NA"],
        "types": {"zip": "category"},
        "format": "1",
    }


@pytest.mark.parametrize("pairs", [["delimiter"], ["=;"], ["types=x", "types.zip=category"]])
def test_an_option_of_another_form_is_refused(pairs: list[str]) -> None:
    with pytest.raises(CommandError, match="key=value"):
        read_options(pairs)


def test_answers_of_batches_are_joined_in_order() -> None:
    first = {"model": "m", "version": 1, "predictions": [1, 2], "probabilities": None}
    assert joined([first, {**first, "predictions": [3]}]) == {**first, "predictions": [1, 2, 3]}


def test_an_address_that_is_none_is_unreachable() -> None:
    for url in ("", "nonsense", "http://[::1", "ftp://host", "http://host:port"):
        with pytest.raises(Unreachable):
            Connection(url, None).ask("GET", "/readyz")


def test_a_problem_keeps_its_code_and_fields() -> None:
    errors = [{"field": "target", "message": "is required"}]
    error = ApiError(
        {"status": 422, "type": "/problems/invalid_spec", "detail": "target is required.", "errors": errors}
    )
    assert (error.status, error.code, error.errors) == (422, "invalid_spec", (("target", "is required"),))


def test_a_summary_says_what_is_left() -> None:
    progress = {"epoch": 400, "epochs": 1000, "loss": 0.034, "validation_accuracy": 0.961, "seconds_per_epoch": 0.01}
    assert summary({"status": "running", "progress": progress}) == (
        "400/1000  loss 0.034  accuracy 0.961  100 epochs/s  6.0 s left"
    )
    assert summary({"status": "queued", "progress": None}) == ""


@pytest.mark.parametrize(("epochs", "said"), [(25, "25/100 (early stopping)"), (100, "100/100")])
def test_a_summary_says_where_a_job_ended_early(epochs: int, said: str) -> None:
    progress = {"epoch": epochs, "epochs": 100, "loss": 0.5}
    result = {"epochs": epochs, "stopped_by": "early_stopping" if epochs < 100 else "epochs"}
    assert summary({"status": "succeeded", "progress": progress, "result": result}) == f"{said}  loss 0.5"


def test_the_service_is_asked_where_serve_listens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # where no .env is
    monkeypatch.delenv("GRADSUM_URL", raising=False)
    monkeypatch.setenv("GRADSUM_PORT", "9")
    for url, asked in (("", "http://127.0.0.1:9"), ("http://127.0.0.1:1", "http://127.0.0.1:1")):
        monkeypatch.setenv("GRADSUM_URL", url)
        with Session().client() as client, pytest.raises(Unreachable) as refused:
            client.ready()
        assert refused.value.url == asked


def test_durations_read_like_a_clock() -> None:
    assert [duration(seconds) for seconds in (0.44, 12, 59.7, 185, 7385)] == [
        "0.4 s",
        "12 s",
        "1:00",
        "3:05",
        "2:03:05",
    ]


def test_what_is_printed_cant_move_the_cursor() -> None:
    assert printable("a\x1b[2Jb\nc") == "a\\x1b[2Jb\\nc"


def test_help_needs_none_of_the_heavy_libraries() -> None:
    heavy = ["ray", "mlflow", "pyarrow", "sqlalchemy", "numpy", "pydantic", "httpx2", "yaml", "fastapi"]
    code = f"import sys, service.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "command", [[], ["job"], ["job", "submit"], ["dataset", "add"], ["model", "predict"], ["serve"]]
)
def test_every_command_explains_itself(command: list[str]) -> None:
    arguments = [sys.executable, "-m", "service.cli", *command, "--help"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert "Usage: gradsum" in done.stdout
    assert not done.stderr


def shown_report(result: dict[str, object]) -> list[str]:
    file = io.StringIO()
    show_report(Console(file=file, width=100), result)
    return file.getvalue().splitlines()


def test_a_result_shows_its_classes_on_test_rows_where_there_are_some() -> None:
    rows = [{"class": f"k{place}", "precision": None, "recall": 0.5, "rows": 1200} for place in range(23)]
    shown = shown_report({"test_classes": rows, "validation_classes": rows[:1]})
    assert shown[0].split() == ["class", "precision", "recall", "test", "rows"]
    assert shown[1].split() == ["k0", "–", "0.500", "1,200"]
    assert len(shown) == 22
    assert shown[-1].strip() == "… 3 more"
    assert shown_report({"validation_classes": rows[:1]})[0].endswith("validation rows")


def test_a_figure_of_rows_that_are_not_held_out_is_not_shown() -> None:
    assert figures({"loss": 0.5, "test_loss": None, "test_r2": None}) == [("loss", "0.5")]


def test_a_result_shows_r2_by_target() -> None:
    shown = shown_report({"validation_r2_by_target": {"height": 0.98765, "width": None}})
    assert [line.split() for line in shown[1:]] == [["height", "0.9877"], ["width", "–"]]


def test_a_result_of_an_older_version_shows_nothing_of_classes_and_targets() -> None:
    assert shown_report({"loss": 0.5, "validation_accuracy": 0.9}) == []


@pytest.mark.parametrize(
    ("early_stopping", "best", "said"),
    [
        (None, 16, "1500 (epochs); the weights are those of the end, and validation_loss was lowest after 16"),
        ({"patience": 10}, 16, "1500 (epochs); the weights are those of epoch 16"),
        (None, 1500, "1500 (epochs)"),
        (None, None, "1500 (epochs)"),
    ],
)
def test_epochs_say_whose_weights_are_kept(early_stopping: object, best: int | None, said: str) -> None:
    result = {"epochs": 1500, "stopped_by": "epochs", "best_epoch": best}
    assert epochs_of({"training": {"early_stopping": early_stopping}}, result) == said


@pytest.mark.parametrize(
    ("first", "now", "expected"),
    [
        (("preparing", 2), ("ready", 2), "new"),
        (("preparing", 2), ("failed", 2), "new"),
        (("ready", 1), ("ready", 1), "unchanged"),
        (("preparing", 2), ("ready", 1), "unchanged"),
    ],
)
def test_a_dataset_that_is_there_already_is_told_from_a_new_one(
    first: tuple[str, int], now: tuple[str, int], expected: str
) -> None:
    answers = [{"status": status, "version": version} for status, version in (first, now)]
    assert is_unchanged(*answers) == (expected == "unchanged")


def test_the_command_line_says_its_version() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "service.cli", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"gradsum {version_of_gradsum()}\n"
