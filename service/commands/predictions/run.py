"""Takes a file of rows through the API, part by part, in order, all by the same version of a model."""

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from service.commands.predictions.learned import Learned
from service.commands.predictions.source import Source
from service.connection import Answer, ApiError

if TYPE_CHECKING:
    from service.client import Client

ROW_OF_A_REQUEST = re.compile(r"rows\[(\d+)\]")


def answers(
    client: "Client", model: Learned, source: Source, on_progress: Callable[[int], None] = lambda _done: None
) -> Iterator[Answer]:
    """The API's answers, one after the other; `on_progress` is told how much of the source they are for.

    ApiError names a row that the model can't take by its number in the file.
    """
    n_answered = done = 0
    for part in source.parts:
        n_before = n_answered
        try:
            for answer in client.predictions(model.name, part.rows, model.version):
                n_answered += len(answer["predictions"])
                yield answer
                on_progress(done + (part.done - done) * (n_answered - n_before) // len(part.rows))
        except ApiError as error:
            raise _of_file(error, n_answered, source) from None
        done = part.done


def _of_file(error: ApiError, n_answered: int, source: Source) -> ApiError:
    """The error with the row's number in the file instead of its place in the request."""

    def in_file(found: re.Match[str]) -> str:
        return f"Row {source.row_number(n_answered + int(found[1]))}"

    if not ROW_OF_A_REQUEST.search(error.detail):
        return error
    return ApiError({**error.problem, "detail": ROW_OF_A_REQUEST.sub(in_file, error.detail), "errors": []})
