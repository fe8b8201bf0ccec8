"""The hashes that `numerics.version` 1 gives on any x86-64 machine: `python -m tests.golden` computes them anew.

They change only together with workers.numerics.VERSION; then the new ones are written to tests/golden/.
"""

import json
from pathlib import Path

import numpy as np

from tests.local_training import OPTIONS, problem_in_memory, sha256_of, train_locally
from workers import numerics

DIGITS = Path(__file__).parent.parent / "deploy" / "examples" / "digits" / "digits.csv"
FILE = Path(__file__).parent / "golden" / f"numerics-{numerics.VERSION}.json"


def hashes() -> dict[str, str]:
    """`weights_sha256` by name: small jobs on digits with every option, and one as large as the whole file."""
    numerics.use_one_thread()
    data = np.loadtxt(DIGITS, delimiter=",", skiprows=1)
    X, y = data[:, :-1] / 16, data[:, -1]
    found = {}
    for name, options in OPTIONS.items():
        problem = problem_in_memory(X[:300], y[:300], n_classes=10, validation_rows=50, **options)
        found[name] = sha256_of(problem, train_locally(problem, 2)[0])
    regression = problem_in_memory(X[:300], X[:300, 20:22], weights=X[:300, 30], hidden_layers=(9, 4))
    found["regression with weights and two outputs"] = sha256_of(regression, train_locally(regression, 3)[0])
    whole = problem_in_memory(
        X,
        y,
        n_classes=10,
        hidden_layers=(30,),
        network={"activation": "sigmoid", "output_activation": "sigmoid"},
        training={"loss": "squared_error", "learning_rate": 1.0, "epochs": 20},
    )
    found["the source's method on all digits"] = sha256_of(whole, train_locally(whole, 1)[0])
    return found


if __name__ == "__main__":
    print(json.dumps(hashes(), indent=1, ensure_ascii=False))  # noqa: T201 - what it is for
