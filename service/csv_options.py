"""How a file is to be read: the options of a dataset, checked."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workers.errors import DataError, FieldError
from workers.field_errors import field_errors


class CsvOptions(BaseModel):
    """The options of a CSV file. `delimiter` null is a comma; markers are compared with values without outer blanks."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    format: Literal["auto", "csv"] = "auto"
    delimiter: Literal[",", ";", "\t", "|", ":"] | None = None
    decimal: Literal[".", ","] = "."
    header: bool = True
    missing_markers: Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=100)] = [""]
    types: dict[str, Literal["number", "category", "text"]] = {}
    on_bad_rows: Literal["error"] = "error"

    @property
    def separator(self) -> str:
        """The character between two values."""
        return self.delimiter or ","


def parse_options(options: dict[str, Any]) -> CsvOptions:
    """The options with their defaults; DataError `invalid_options` names each wrong one as `options.name`."""
    try:
        parsed = CsvOptions.model_validate(options)
    except ValidationError as error:
        found = [FieldError(f"options.{field}", message) for field, message in field_errors(error, CsvOptions)]
        message = "; ".join(f"{field} {message}" for field, message in found)
        raise DataError(f"{message}.", code="invalid_options", errors=tuple(found)) from None
    if parsed.separator == parsed.decimal:
        raise DataError(
            "options.delimiter and options.decimal are both ','. Set options.delimiter to what separates the values.",
            code="invalid_options",
            field="options.delimiter",
        )
    return parsed
