"""How a file is to be read: the options of a dataset, checked."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from workers.errors import DataError, FieldError
from workers.field_errors import field_errors


def _sha256(text: str) -> str:
    if not re.fullmatch("[0-9a-fA-F]{64}", text):
        raise PydanticCustomError("sha256", "64 hexadecimal digits, as sha256sum prints them")
    return text.lower()


WAYS_OUT = {"missing_markers": ': write a list of texts, such as ["", "?"]'}


class FileOptions(BaseModel):
    """The options of a file. What is null is found in the file; markers are compared with text without outer blanks."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    format: Literal["auto", "csv", "parquet", "arrow", "npz"] = "auto"
    delimiter: Literal[",", ";", "\t", "|", ":"] | None = None
    decimal: Literal[".", ","] | None = None
    header: bool | Literal["auto"] = "auto"
    missing_markers: Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=100)] = [""]
    types: dict[str, Literal["number", "category", "text", "date"]] = {}
    on_bad_rows: Literal["error", "skip"] = "error"
    sha256: Annotated[str, AfterValidator(_sha256)] | None = None
    """What the file's own must be: it does not change how the file is read."""

    @property
    def skips_bad_rows(self) -> bool:
        """Whether rows that can't be used are left out and counted."""
        return self.on_bad_rows == "skip"

    @property
    def only_for_csv(self) -> str | None:
        """The option, if one is set, that means something for CSV only."""
        given = {
            "delimiter": self.delimiter is not None,
            "decimal": self.decimal is not None,
            "header": self.header is False,
        }
        return next((name for name, is_given in given.items() if is_given), None)


def parse_options(options: dict[str, Any]) -> FileOptions:
    """The options with their defaults; DataError `invalid_options` names each wrong one as `options.name`."""
    try:
        parsed = FileOptions.model_validate(options)
    except ValidationError as error:
        found = [
            FieldError(f"options.{field}", message + WAYS_OUT.get(field, ""))
            for field, message in field_errors(error, FileOptions)
        ]
        message = "; ".join(f"{field} {message}" for field, message in found)
        raise DataError(f"{message}.", code="invalid_options", errors=tuple(found)) from None
    if parsed.delimiter == parsed.decimal == ",":
        raise DataError(
            "options.delimiter and options.decimal are both ','. Set options.delimiter to what separates the values.",
            code="invalid_options",
            field="options.delimiter",
        )
    return parsed
