"""What can go wrong in the training engine, as sentences for its users.

    GradsumError
    ├── SpecError        a job's spec asks for something that makes no sense
    ├── DataError        a file, a dataset or a training matrix can't be used
    ├── ModelInputError  rows that a model can't predict from
    └── Diverged         training reached a loss that is not finite

Each carries a stable `code` for programs, a message for people and, where one is to blame, the `field`.
"""

from typing import Any, NamedTuple


class FieldError(NamedTuple):
    """One thing that is wrong, and the field (dotted path) it is wrong in."""

    field: str
    message: str


class GradsumError(Exception):
    """An error that its user can act on."""

    code = "error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        field: str | None = None,
        errors: tuple[FieldError, ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.errors = errors or ((FieldError(field, message),) if field else ())


class SpecError(GradsumError):
    """The spec of a job can't be trained as it stands."""

    code = "invalid_spec"


class DataError(GradsumError):
    """The data can't be used as it stands."""

    code = "invalid_data"


class ModelInputError(GradsumError):
    """The rows do not fit the model."""

    code = "invalid_rows"


class Diverged(GradsumError):  # noqa: N818 - the field's word for it
    """Training left the finite numbers in `epoch`; `parameters` (flat) had the last finite loss, or None."""

    code = "diverged"

    def __init__(self, message: str, *, epoch: int, parameters: Any) -> None:  # noqa: ANN401 - an array
        super().__init__(message)
        self.epoch = epoch
        self.parameters = parameters
