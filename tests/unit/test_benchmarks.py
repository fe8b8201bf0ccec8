"""The parts of `make bench` that need neither a service nor peers."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from tests.benchmarks import report
from tests.benchmarks.cases import CASES, inputs_of, rows_of, targets_of
from tests.benchmarks.floor import Layout, array, products, widths
from tests.benchmarks.measure import Timing

SIZES = (5, 7, 6, 3)


@pytest.mark.parametrize("block", [4, 11, 30])
@pytest.mark.parametrize("flags", list(itertools.product((False, True), (False, True))))
def test_the_floor_does_the_products_of_backpropagation_in_every_layout(flags: tuple[bool, bool], block: int) -> None:
    X = np.random.default_rng(1).standard_normal((11, 5), dtype=np.float32)
    weights = [array(n_out, n_in, turned=False) for n_in, n_out in itertools.pairwise(SIZES)]
    rows = X[(len(X) - 1) // block * block :]  # of the last block
    inputs = list(itertools.accumulate(weights, lambda a, w: a @ w.T, initial=rows))
    deltas = list(itertools.accumulate(weights[:0:-1], lambda d, w: d @ w, initial=array(len(rows), 3, turned=False)))
    expected = [delta.T @ a for delta, a in zip(reversed(deltas), inputs[:-1], strict=True)]
    found = products(X, SIZES, Layout(*flags, padded=False), block)()
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_padding_widens_hidden_layers_only() -> None:
    assert widths((784, 30, 10), Layout(columns=False, transposed=False, padded=True)) == [784, 32, 10]
    X = np.ones((11, 5), np.float32)
    shapes = [g.shape for g in products(X, SIZES, Layout(columns=True, transposed=True, padded=True), 4)()]
    assert shapes == [(16, 5), (16, 16), (3, 16)]


def test_results_are_medians_and_ratios_to_ours(tmp_path: Path) -> None:
    timings = [
        Timing("gradsum", "numpy", "", {"workers": 2}, [0.2, 0.1, 0.9]),
        Timing("floor", "numpy", "", {"threads": 2, "columns": True, "padded": False}, [0.1, 0.1, 0.1]),
        Timing(
            "pytorch", "torch", "", {"threads": 1, "block": None}, [0.4, 0.5, 0.3], {"service_share_of_a_core": [0.2]}
        ),
    ]
    rows = report.rows_of("A", timings, report.machine())
    report.write(rows, tmp_path / "results.json")
    assert json.loads((tmp_path / "results.json").read_text()) == rows
    assert [(row["case"], row["system"], row["seconds_per_epoch"]) for row in rows] == [
        ("A", "gradsum", 0.2),
        ("A", "floor", 0.1),
        ("A", "pytorch", 0.4),
    ]
    assert [row["ratio_to_gradsum"] for row in rows] == [1.0, 0.5, 2.0]
    console = Console(width=150)
    with console.capture() as shown:
        console.print(report.table(rows))
    assert "threads 1, one go" in shown.get()
    assert "threads 2, columns" in shown.get()
    lines = "\n".join(report.closing_lines(rows))
    assert "Floor over ours (1 is as fast as the matrix products alone): A 0.50." in lines
    assert "used 20% of a core" in lines


def test_the_rows_of_case_c_are_the_digits_of_the_examples() -> None:
    X, y = rows_of(CASES["C"].rows_name)
    assert X.shape == (CASES["C"].rows, CASES["C"].sizes[0])
    inputs = inputs_of(X)
    assert inputs.dtype == np.float32
    np.testing.assert_allclose(inputs.std(axis=0)[X.std(axis=0) > 0], 1, rtol=1e-3)
    assert np.isfinite(inputs).all()
    assert targets_of(CASES["C"], y).sum(axis=1).tolist() == [1.0] * len(y)
