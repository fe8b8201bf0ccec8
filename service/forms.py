"""Multipart forms as uploads need them: files go to disk as they come, and a form that was cut off is refused."""

from collections import Counter
from collections.abc import AsyncGenerator, Collection

from fastapi import Request
from starlette.datastructures import FormData, Headers
from starlette.formparsers import MultiPartException, MultiPartParser

from service.errors import BadRequestError, UnprocessableError
from service.parameters import hint
from workers.errors import FieldError

MOST_FILES = 1
MOST_FIELDS = 8
LARGEST_FIELD_BYTES = 2**16
LONGEST_NAME_SHOWN = 60


async def read_form(request: Request, names: Collection[str]) -> FormData:
    """The fields of a form with at most one file.

    BadRequestError where it is damaged or has more, UnprocessableError where a field is none of `names` or stands
    twice: a file that comes after it is not read.
    """
    parser = _StrictFormParser(
        request.headers,
        request.stream(),
        names,
        max_files=MOST_FILES,
        max_fields=MOST_FIELDS,
        max_part_size=LARGEST_FIELD_BYTES,
    )
    try:
        return await parser.parse()
    except MultiPartException as error:
        message = f"The form can't be read: {error.message.rstrip('.')}."
        raise BadRequestError(message, code="invalid_form") from None


class _StrictFormParser(MultiPartParser):
    """Starlette's parser takes any field, and a form without its end for a whole one, whose file it leaves open."""

    def __init__(
        self, headers: Headers, stream: AsyncGenerator[bytes, None], names: Collection[str], **limits: int
    ) -> None:
        super().__init__(headers, stream, **limits)
        self._names = names
        self._seen: list[str] = []
        self._ended = False

    def on_headers_finished(self) -> None:
        super().on_headers_finished()
        self._seen.append(self._current_part.field_name)
        if self._current_part.file is not None:
            _check_names(self._seen, self._names)

    def on_end(self) -> None:
        self._ended = True

    async def parse(self) -> FormData:
        form = await super().parse()
        if not self._ended:
            for file in self._files_to_close_on_error:
                file.close()
            raise MultiPartException("it ends before its last boundary")
        try:
            _check_names(self._seen, self._names)
        except UnprocessableError:
            await form.close()
            raise
        return form


def _check_names(seen: list[str], known: Collection[str]) -> None:
    counts = Counter(seen)
    errors = [
        FieldError(name[:LONGEST_NAME_SHOWN], f"is not a known field of this form{hint(name, known)}")
        for name in counts
        if name not in known
    ]
    code = "unknown_field" if errors else "repeated_field"
    errors += [FieldError(name, "stands more than once in this form") for name in known if counts[name] > 1]
    if errors:
        detail = "; ".join(" ".join(error) for error in errors) + "."
        raise UnprocessableError(detail, code=code, errors=errors)
