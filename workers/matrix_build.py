"""Makes a training matrix: its split, its preprocessing, then one pass over the rows. No column is ever in memory."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .dataset import Column
from .duplicates import SharedRows, words_of_block
from .errors import DataError
from .files import publish_directory
from .fitting import fit
from .imputation import fill_of
from .inputs import Inputs
from .integrity import check_all, fingerprint
from .matrix import MatrixRequest
from .matrix_file import PartsFile
from .matrix_rows import Source, read_split, read_validation_rows
from .preprocessing import Preprocessing, to_json
from .split import PARTS
from .stored import spans
from .target_scaling import TargetScaling, fit_targets
from .targets import Answers, Classes, check_numbers, classes_of
from .training_rows import filled_values, present_values
from .weight_column import check_weights

BLOCK_VALUES = 2**20
"""So many inputs are in memory at once, or those of a row."""
FEWEST_BLOCK_ROWS = 256
"""So many rows are read at once, however many inputs they become."""


def build(
    dataset_directory: Path, request: MatrixRequest, destination: Path, validation_directory: Path | None = None
) -> dict[str, Any]:
    """Makes the matrix in `destination`, whole or not at all, unless it is there, and returns its `matrix.json`.

    One that is there and was changed since is made anew. DataError names what stands in the way: a column that is not
    there, text or missing values where numbers are needed, a split without rows, fewer than two classes, values beyond
    the dtype. The rows of the dataset in `validation_directory` validate.
    """
    found = kept_matrix(destination)
    if found is None:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=destination.parent, prefix=f".{destination.name}-") as temporary:
            _write(dataset_directory, validation_directory, request, Path(temporary))
            publish_directory(Path(temporary), destination)
        found = json.loads((destination / "matrix.json").read_bytes())
    return found


def kept_matrix(directory: Path) -> dict[str, Any] | None:
    """The `matrix.json` of a matrix that is there as it was written; what is left of one that is not makes room."""
    if not directory.exists():
        return None
    try:
        check_all(directory)
    except DataError:
        shutil.rmtree(directory)
        return None
    os.utime(directory)  # it is wanted: whoever removes old ones leaves it
    meta: dict[str, Any] = json.loads((directory / "matrix.json").read_bytes())
    return meta


def _write(dataset_directory: Path, validation_directory: Path | None, request: MatrixRequest, directory: Path) -> None:
    """What is needed on the way lies in the directory too, as long as it is needed."""
    own = read_split(dataset_directory, request, directory)
    sources = [own]
    if validation_directory is not None:
        sources.append(read_validation_rows(own, validation_directory, request, directory))
    classes = _check_targets(sources, request)
    if (name := request.weight_column) is not None:
        check_weights(name, [(source.columns[name], source.split) for source in sources], request.dtype)
    scaling, notes = _fit_targets(own, request)
    preprocessing, warnings = _fit(own, request, directory)
    sizes = [sum(part) for part in zip(*(source.split.sizes for source in sources), strict=True)]
    shared = _write_rows(sources, sizes, request, Answers(classes, request.dtype, scaling), preprocessing, directory)
    for path in directory.iterdir():
        if path.suffix != ".npy":
            path.unlink()
    meta = {
        **{f"{name}_rows": size for name, size in zip(PARTS, sizes, strict=True)},
        "targets": request.targets,
        "features": request.features,
        "classes": None if classes is None else classes.labels,
        "target_scaling": None if scaling is None else scaling._asdict(),
        "preprocessing": to_json(preprocessing),
        "n_inputs": preprocessing.n_inputs,
        "dtype": request.dtype,
        "warnings": [*notes, *warnings, *shared],
        "arrays": {file.stem: fingerprint(file) for file in sorted(directory.glob("*.npy"))},
    }
    (directory / "matrix.json").write_text(json.dumps(meta, ensure_ascii=False, allow_nan=False), encoding="utf-8")


def _check_targets(sources: Sequence[Source], request: MatrixRequest) -> Classes | None:
    """The classes; None for a regression, whose targets are looked through."""
    if request.task == "classification":
        return classes_of([sources[0].columns[name] for name in request.targets])
    for name in request.targets:
        check_numbers(name, [source.columns[name] for source in sources], request.dtype)
    return None


def _fit_targets(own: Source, request: MatrixRequest) -> tuple[TargetScaling | None, list[str]]:
    """Of the training rows that count: one of weight 0 must not touch training."""
    if not request.standardize_target:
        return None, []

    def counting(name: str) -> Iterator[Any]:
        """The values of these rows in blocks."""
        values = present_values(own.columns[name], own.split)
        if request.weight_column is None:
            yield from values
            return
        weights = present_values(own.columns[request.weight_column], own.split)
        for block, counts in zip(values, (block > 0 for block in weights), strict=True):
            if counts.any():
                yield block[counts]

    return fit_targets({name: partial(counting, name) for name in request.targets}, request.dtype)


def _fit(own: Source, request: MatrixRequest, scratch: Path) -> tuple[Preprocessing, list[str]]:
    columns = [own.columns[name] for name in request.features]
    fills: dict[str, float | str] = {}
    if request.missing_values != "error":
        fills = {column.name: fill_of(column, own.split, request.missing_values, scratch) for column in columns}
    categories = {column.name: column.categories[:] for column in columns if column.categories is not None}

    def put(name: str) -> Any:  # noqa: ANN401 - a number or a code
        """What stands for a missing value."""
        return categories[name].index(str(fills[name])) if fills and name in categories else fills.get(name)

    return fit(
        {column.name: partial(filled_values, column, own.split, put(column.name)) for column in columns},
        categories,
        standardize=request.standardize,
        fills=fills,
        missing_markers=request.missing_markers if fills else (),
        max_categories=request.max_categories,
    )


def _write_rows(
    sources: Sequence[Source],
    sizes: Sequence[int],
    request: MatrixRequest,
    answers: Answers,
    preprocessing: Preprocessing,
    directory: Path,
) -> list[str]:
    """X, y and weights, in one pass over the rows in the order of their files; warnings about shared rows."""
    X = PartsFile(directory / "X.npy", request.dtype, sizes, (preprocessing.n_inputs,))
    y = PartsFile(directory / "y.npy", answers.dtype, sizes, answers.shape(len(request.targets)))
    named = request.weight_column
    weights = None if named is None else PartsFile(directory / "weights.npy", np.float64, sizes)
    shared = SharedRows(directory, sizes)
    used = [*request.features, *request.targets]
    length = max(FEWEST_BLOCK_ROWS, BLOCK_VALUES // max(preprocessing.n_inputs, len(used)))
    for source in sources:
        inputs_of = Inputs(preprocessing, source.columns, request.dtype)
        for rows, ends, columns in _blocks(source, [*used, *([] if named is None else [named])], length):
            for piece in spans(rows.stop, max(1, BLOCK_VALUES // preprocessing.n_inputs)):
                X.write(
                    inputs_of(columns, piece), [min(max(end, piece.start), piece.stop) - piece.start for end in ends]
                )
            y.write(answers.to([columns[name].values[rows] for name in request.targets]), ends)
            if weights is not None and named is not None:
                weights.write(columns[named].values[rows], ends)
            shared.add(words_of_block([columns[name] for name in used], rows), ends)
    return shared.warnings()


def _blocks(source: Source, names: Sequence[str], length: int) -> Iterator[tuple[slice, list[int], dict[str, Column]]]:
    """Block by block: its rows, where its parts end, and its columns, one part after the other."""
    for rows in spans(len(source.split.parts), length):
        parts = source.split.parts[rows]
        order = np.argsort(parts, kind="stable")
        columns = {}
        for name in names:
            block = source.columns[name].block(rows)
            missing = None if block.missing is None else block.missing[order]
            columns[name] = source.columns[name]._replace(values=block.values[order], missing=missing)
        yield slice(0, len(parts)), np.bincount(parts, minlength=len(PARTS)).cumsum().tolist(), columns
