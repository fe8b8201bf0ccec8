"""What MLflow loads: a trained model that takes a data frame with the dataset's raw columns and answers with one.

It is packaged with the modules that `model.py` needs, so a process that loads it needs numpy and pandas, not Gradsum.
"""

from pathlib import Path

import pandas as pd

from .model import Array, Model, Prediction, columns_from_arrays, load, predict


class FrameModel:
    """A model behind MLflow's interface."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The answers for the rows of `frame`, under its index: `prediction`, and any `probability_<class>`.

        Columns may be in any order, integers or floats; those that the model does not use are ignored. With several
        targets there is a column `prediction_<target>` for each. ModelInputError names the column that is wrong.
        """
        names = [feature.name for feature in self._model.preprocessing.features]
        arrays = {name: frame[name].to_numpy() for name in names if name in frame.columns}
        answer = predict(self._model, columns_from_arrays(self._model, arrays))
        return pd.DataFrame(_columns(self._model, answer), index=frame.index)


def _columns(model: Model, answer: Prediction) -> dict[str, Array]:
    if answer.prediction.ndim > 1:
        return {f"prediction_{name}": answer.prediction[:, place] for place, name in enumerate(model.targets)}
    columns = {"prediction": answer.prediction}
    if answer.probabilities is not None and model.classes is not None:
        for place, label in enumerate(model.classes):
            columns[f"probability_{label}"] = answer.probabilities[:, place]
    return columns


def _load_pyfunc(path: str) -> FrameModel:
    """The model in the directory `path`; the name is MLflow's."""
    return FrameModel(load(Path(path)))
