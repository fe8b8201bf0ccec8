"""Multipart forms as uploads need them: files go to disk as they come, and a form that was cut off is refused."""

from fastapi import Request
from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException, MultiPartParser

from service.errors import BadRequestError

MOST_FILES = 1
MOST_FIELDS = 8
LARGEST_FIELD_BYTES = 2**16


async def read_form(request: Request) -> FormData:
    """The fields of a form with at most one file; BadRequestError where it is damaged or has more."""
    parser = _WholeFormParser(
        request.headers,
        request.stream(),
        max_files=MOST_FILES,
        max_fields=MOST_FIELDS,
        max_part_size=LARGEST_FIELD_BYTES,
    )
    try:
        return await parser.parse()
    except MultiPartException as error:
        message = f"The form can't be read: {error.message.rstrip('.')}."
        raise BadRequestError(message, code="invalid_form") from None


class _WholeFormParser(MultiPartParser):
    """Starlette's parser, which takes a form without its end for a whole one and leaves its file open."""

    _ended = False

    def on_end(self) -> None:
        self._ended = True

    async def parse(self) -> FormData:
        form = await super().parse()
        if not self._ended:
            for file in self._files_to_close_on_error:
                file.close()
            raise MultiPartException("it ends before its last boundary")
        return form
