"""A trained model as MLflow keeps it: its files, and beside them the few modules of ours that predict from them.

MLflow's `loader_module` flavour: no pickle, and no code of ours that imports MLflow.
"""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import mlflow.pyfunc
import pandas as pd
from mlflow.models import Model as MlflowModel
from mlflow.models import ModelSignature
from mlflow.types.schema import AnyType, ColSpec, DataType, Schema

from service.store.datasets import Dataset
from service.tracker.shipped_code import ENTRY, write_package
from workers.model import Model, load
from workers.preprocessing import CategoryFeature, NumberFeature

REQUIREMENTS = [f"{name}=={version(name)}" for name in ("mlflow", "numpy", "pandas")]


def save(destination: Path, model_directory: Path, dataset: Dataset, described: MlflowModel) -> None:
    """Write a complete MLflow model to `destination`, which must not exist; DataError where its weights are damaged."""
    model = load(model_directory)
    code = destination.with_name(f"{destination.name}-code")
    code.mkdir()
    package = write_package(code)
    mlflow.pyfunc.save_model(
        path=str(destination),
        loader_module=f"{package.name}.{ENTRY}",
        data_path=str(model_directory),
        code_paths=[str(package)],
        mlflow_model=described,
        pip_requirements=REQUIREMENTS,
        signature=signature(model),
        input_example=input_example(model, dataset),
    )


def signature(model: Model) -> ModelSignature:
    """Numbers of any type (MLflow's `double` would refuse integers), texts for categories; the answer's columns.

    Anything where missing values are filled: a column of nothing but NaN is no column of texts to MLflow.
    """
    inputs = [ColSpec(_input_type(feature), feature.name) for feature in model.preprocessing.features]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema(_outputs(model)))


def _input_type(feature: NumberFeature | CategoryFeature) -> AnyType | DataType:
    return AnyType() if isinstance(feature, NumberFeature) or feature.fill is not None else DataType.string


def _outputs(model: Model) -> list[ColSpec]:
    if model.classes is None:
        names = ["prediction"] if len(model.targets) == 1 else [f"prediction_{name}" for name in model.targets]
        return [ColSpec(DataType.double, name) for name in names]
    outputs = [ColSpec(_class_type(model.classes), "prediction")]
    if model.network.output_activation in {"softmax", "sigmoid"}:
        outputs += [ColSpec(DataType.double, f"probability_{label}") for label in model.classes]
    return outputs


def _class_type(classes: Sequence[str | int | float]) -> DataType:
    if any(isinstance(label, str) for label in classes):
        return DataType.string
    return DataType.long if all(isinstance(label, int) for label in classes) else DataType.double


def input_example(model: Model, dataset: Dataset) -> pd.DataFrame:
    """One row that nobody's data holds: the mean of each number (rounded where all are whole), the first category."""
    columns = {column["name"]: column for column in dataset.columns or []}
    return pd.DataFrame({f.name: [_example(f, columns.get(f.name, {}))] for f in model.preprocessing.features})


def _example(feature: NumberFeature | CategoryFeature, column: dict[str, object]) -> object:
    if isinstance(feature, CategoryFeature):
        return feature.categories[0] if feature.categories else ""
    mean = column.get("mean")
    mean = float(mean) if isinstance(mean, int | float) else feature.mean
    return round(mean) if column.get("whole") else mean
