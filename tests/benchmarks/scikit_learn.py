"""scikit-learn's MLPClassifier and MLPRegressor with solver sgd on the full batch, by `fit` and by `partial_fit`.

The classifier has no squared error: its cross-entropy with softmax is the nearest. Neither can add the gradients of
blocks.
"""

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import sklearn
import threadpoolctl
from sklearn.neural_network import MLPClassifier, MLPRegressor

from tests.benchmarks.cases import Case, load
from tests.benchmarks.subject import Variant, answer, timed
from tests.benchmarks.threads import n_cores

ACTIVATIONS = {"sigmoid": "logistic", "relu": "relu"}
CROSS_ENTROPY = "cross-entropy with softmax: it has no squared error for classes"


class EpochTimes:
    """Notes the time at the end of each epoch, where the loop of `fit` looks whether the loss still falls."""

    ends: list[float]

    def _update_no_improvement_count(self, *arguments: Any) -> None:
        self.ends.append(time.perf_counter())
        super()._update_no_improvement_count(*arguments)  # type: ignore[misc]


class Classifier(EpochTimes, MLPClassifier):
    """With the times of its epochs."""


class Regressor(EpochTimes, MLPRegressor):
    """With the times of its epochs."""


def estimator(case: Case, epochs: int) -> Any:
    """Plain full-batch gradient descent that stops for nothing but the number of epochs."""
    made = (Regressor if case.task == "regression" else Classifier)(
        hidden_layer_sizes=case.sizes[1:-1],
        activation=ACTIVATIONS[case.activation],
        solver="sgd",
        alpha=0.0,
        batch_size=case.rows,
        learning_rate_init=case.learning_rate,
        max_iter=epochs,
        shuffle=False,
        random_state=0,
        n_iter_no_change=epochs + 1,
        momentum=0.0,
        nesterovs_momentum=False,
    )
    made.ends = []
    return made


def variants(_case: Case) -> list[Variant]:
    """Both methods, with one thread for each core and with one."""
    threads = sorted({n_cores(), 1}, reverse=True)
    return [{"threads": n, "method": method} for n in threads for method in ("fit", "partial_fit")]


def prepare(case: Case, variant: Variant) -> Callable[[int], list[float]]:
    """Epochs by the method, the time of the epochs only: not of what `fit` does before and after them."""
    X, y = load(case)
    y = y.astype(np.float32) if case.task == "regression" else y  # with float64 targets it would compute in float64
    if variant["method"] == "partial_fit":
        model = estimator(case, 1)
        classes = {} if case.task == "regression" else {"classes": np.unique(y)}

        def epoch() -> None:
            model.partial_fit(X, y, **(classes if not hasattr(model, "coefs_") else {}))

        run: Callable[[int], list[float]] = lambda epochs: timed(epoch, epochs)  # noqa: E731
    else:

        def run(epochs: int) -> list[float]:
            return np.diff(estimator(case, epochs + 1).fit(X, y).ends).tolist()

    def run_with_threads(epochs: int) -> list[float]:
        with threadpoolctl.threadpool_limits(variant["threads"]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it has not converged: that is not what is asked
            return run(epochs)

    return run_with_threads


def facts(case: Case) -> dict[str, Any]:
    """The version, its BLAS, how it differs, and the variants."""
    blas = next(pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas")
    version = f"scikit-learn {sklearn.__version__}, {blas['internal_api']} {blas['version']} {blas['architecture']}"
    note = "" if case.task == "regression" else CROSS_ENTROPY
    return {"version": version, "variants": variants(case), "note": f"no blocks of rows; {note}".rstrip("; ")}


if __name__ == "__main__":
    answer(prepare, facts)
