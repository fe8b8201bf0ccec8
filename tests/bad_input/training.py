"""Data that can be read and not trained on, or only just; rows that can't be predicted."""

from collections.abc import Callable
from typing import Any

from tests.bad_input.case import Case, Outcome, Target

MODEL = "bad-input-model"
ROWS = "size,weight,kind\n" + "".join(f"{i % 7},{i % 5}.5,{'rose' if i % 2 else 'iris'}\n" for i in range(40))
STEEP = "a,b\n" + "".join(f"{i},{i * 1e6}\n" for i in range(40))
QUICK = {"preset": "textbook", "training": {"epochs": 2}}


def trained(content: str, **job: Any) -> Callable[[Target], Outcome]:
    """What becomes of a job on these rows."""

    def act(target: Target) -> Outcome:
        added = target.http.post("/v1/datasets", files={"file": ("table.csv", content)}).json()
        return target.job({"dataset": added["id"], **QUICK, **job})

    return act


def submitted(target: Target) -> Outcome:
    """By the command line."""
    path = target.files / "job.yaml"
    path.write_text(f"dataset: {MODEL}\ntarget: colour\n")
    return target.command("job", "submit", str(path))


def predicted(**body: Any) -> Callable[[Target], Outcome]:
    return lambda target: target.post(f"/v1/models/{MODEL}/predict", json=body)


def predicted_by_command(target: Target) -> Outcome:
    path = target.files / "rows.csv"
    path.write_text("size,weight\n1,heavy\n")
    return target.command("model", "predict", MODEL, str(path))


def of_no_model(target: Target) -> Outcome:
    return target.post("/v1/models/none-yet/predict", json={"rows": [[1, 2]]})


def of_a_model_in_the_making(target: Target) -> Outcome:
    """While the job that is to register it is queued: it asks for more workers than there are."""
    body = {"dataset": MODEL, "target": "kind", "resources": {"workers": 3, "shards": 8}, **QUICK}
    body["tracking"] = {"registered_model": "in-the-making"}
    job = target.http.post("/v1/jobs", json=body).raise_for_status().json()
    found = target.post("/v1/models/in-the-making/predict", json={"rows": [[1, 2]]})
    target.http.post(f"/v1/jobs/{job['id']}/cancel").raise_for_status()
    return found._replace(text=found.text.replace(job["id"], "its job"))


DIVERGES: dict[str, Any] = {
    "preset": "auto",
    "task": "regression",
    "preprocessing": {"standardize": False},
    "network": {"hidden_layers": [], "output_activation": "identity"},
    "training": {"epochs": 500, "learning_rate": 1e6, "optimizer": "gradient_descent", "early_stopping": None},
}
WHOLE: dict[str, Any] = {"split": {"validation": 0.0}}
CASES = [
    Case("B22", "one row", trained("a,b\n1,2\n", target="b", task="regression", **WHOLE), ("succeeded",)),
    Case(
        "B22",
        "one row, of which some are to be held out",
        trained("a,b\n1,2\n", target="b"),
        (422, "failed"),
        "invalid_spec",
    ),
    Case(
        "B22",
        "fewer rows than workers",
        trained("a,b\n1,2\n", target="b", task="regression", resources={"workers": 2, "shards": 8}, **WHOLE),
        ("succeeded",),
    ),
    Case(
        "B22",
        "one class",
        trained("a,b\n1,x\n2,x\n3,x\n", target="b", **WHOLE),
        (422, "failed"),
        "invalid_spec",
        ("2",),
    ),
    Case(
        "B26",
        "a rate that is far too large",
        trained(STEEP, target="b", **DIVERGES),
        ("failed",),
        "diverged",
        ("epoch", "learning_rate"),
    ),
    Case(
        "B27", "no such target", trained(ROWS, target="kinds"), (422, "failed"), "invalid_spec", ("'kinds'", "'kind'")
    ),
    Case(
        "B27",
        "the target as a feature",
        trained(ROWS, target="kind", features=["kind", "size"]),
        (422, "failed"),
        "invalid_spec",
        ("is the target",),
    ),
    Case(
        "B27",
        "text to regress on",
        trained(ROWS, target="kind", task="regression"),
        (422, "failed"),
        "invalid_spec",
        ("kind",),
    ),
    Case(
        "B27",
        "labels that are no classes",
        trained(ROWS, target="kind", class_weight={"tulip": 2.0}),
        (422, "failed"),
        "invalid_spec",
        ("tulip",),
    ),
    Case(
        "B27",
        "labels that are missing",
        trained("a,b\n1,x\n2,\n3,y\n", target="b"),
        (422, "failed"),
        "missing_values",
        ("'b'", "no value in 1 of 3 rows"),
    ),
    Case(
        "B27",
        "labels of 1.5 and below 0 are classes like others",
        trained("a,b\n1,1.5\n2,-1\n3,1.5\n", target="b", task="classification", **WHOLE),
        ("succeeded",),
    ),
    Case("B27", "no such target, by the command line", submitted, ("exit 1",), "", ("'colour'",)),
    Case(
        "B30",
        "features that are all constant",
        trained("a,b\n1,2\n1,3\n1,4\n", target="b", task="regression", **WHOLE),
        ("succeeded",),
        "",
        ("'a'",),
    ),
    Case("B54", "a wrong width", predicted(rows=[[1, 2, 3]]), (422,), "wrong_width", ("3 values", "takes 2")),
    Case("B54", "no rows", predicted(rows=[]), (422,), "invalid_request", ("rows",)),
    Case("B54", "a value that is none", predicted(rows=[[1, "NaN"]]), (422,), "invalid_rows", ("weight",)),
    Case("B54", "a million rows", predicted(rows=[[1, 2]] * 10**6), (413,), "body_too_large"),
    Case("B54", "no model yet", of_no_model, (404,), "not_found", ("A job makes one",)),
    Case("B54", "a model in the making", of_a_model_in_the_making, (409,), "model_not_ready", ("its job", "Wait")),
    Case("B54", "text among numbers, by the command line", predicted_by_command, ("exit 1",), "", ("heavy",)),
]
