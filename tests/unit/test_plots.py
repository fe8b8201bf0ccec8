"""Pictures: of every shape that a job can have, without a warning, in a sensible size."""

import io
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from service.plots.confusion import Confusion, _number, confusion_plot
from service.plots.labels import cut, drawable, labels_of, width
from service.plots.loss import NOTHING, loss_curve

LARGEST_SIDE, LARGEST_FILE = 2400, 2 << 20
LONG = pytest.param("x" * 5000, id="long")
TEXTS = ["東京", "한국", "größe", "$x^2$", "a\nb\tc", "", " ", "\u202e", "🦉", "\x00", LONG]


def drawn(picture: bytes) -> Image.Image:
    assert len(picture) < LARGEST_FILE
    image = Image.open(io.BytesIO(picture))
    assert image.format == "PNG"
    assert max(image.size) <= LARGEST_SIDE
    return image


def confusion_of(labels: Sequence[object], scale: float = 1, title: str = "digits") -> Confusion:
    counts = np.random.default_rng(0).integers(0, 50, (len(labels), len(labels)))
    matrix = (counts if scale == 1 else counts * scale).tolist()
    return Confusion(matrix, labels, title, "180 validation rows, 95.6 % right")


@pytest.mark.parametrize("n_classes", [2, 3, 5, 6, 10, 25, 26, 40, 100])
@pytest.mark.parametrize("label", ["{}", "a very long name of the class {} of them"])
def test_a_matrix_of_any_number_of_classes_is_a_picture_of_a_sensible_size(n_classes: int, label: str) -> None:
    image = drawn(confusion_plot(confusion_of([label.format(place) for place in range(n_classes)])))
    assert min(image.size) >= 400


@pytest.mark.parametrize("scale", [1, 1e-9, 0.37, 12345.6, 1e250])
def test_weights_of_any_size_can_be_drawn(scale: float) -> None:
    drawn(confusion_plot(confusion_of(["no", "yes"], scale)))


def test_a_class_without_rows_and_a_matrix_of_nothing_can_be_drawn() -> None:
    drawn(confusion_plot(Confusion([[5, 3], [0, 0]], ["no", "yes"], "digits", "8 test rows")))
    drawn(confusion_plot(Confusion([[0.0, 0.0], [0.0, 0.0]], ["no", "yes"], "digits", "8 test rows")))


@pytest.mark.parametrize("label", TEXTS)
def test_any_text_can_be_the_label_of_a_class_and_the_title_of_a_job(label: str) -> None:
    title = drawable(label, 80) or "job_1"
    drawn(confusion_plot(confusion_of([label, "other"], title=title)))
    drawn(loss_curve(NOTHING, title))


def test_a_label_that_no_font_has_becomes_the_number_of_its_class() -> None:
    assert labels_of(["a", "\ue123", "b"], 20) == ["a", "class 2", "b"]


def test_labels_that_look_the_same_begin_with_their_number() -> None:
    shown = labels_of([f"the department of {place:03} and its friends" for place in range(100)], 16)
    assert len(set(shown)) == 100
    assert shown[41].startswith("42: ")
    assert all(width(label) <= 16 for label in shown)


@pytest.mark.parametrize("text", ["a long name that goes on and on", "東京都庁前駅の交差点", "東a京b都c庁d前e駅"])
@pytest.mark.parametrize("longest", [8, 9, 16])
def test_a_long_label_keeps_its_beginning_and_its_end(text: str, longest: int) -> None:
    shown = cut(text, longest)
    assert width(shown) <= longest
    assert (shown[0], shown[-1]) == (text[0], text[-1])
    assert cut(shown, longest) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (7, "7"), (9999, "9,999"), (12345, "12.3k"), (5e6, "5M"), (0.125, "0.12"), (3.7, "3.7"), (250.4, "250")],
)
def test_numbers_in_cells_are_short(value: float, shown: str) -> None:
    assert _number(value) == shown
