"""The schema of a trace's metadata, for pydantic. It is separate, so that only reading a trace imports pydantic."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError, from_json

from slotlookup.address import ADDRESS_LIMIT
from slotlookup.architecture import OTHER
from slotlookup.errors import InputFileError

MOST_METADATA = 1 << 26
"""The maximum size in bytes of a trace's metadata; 32,764 slots take less than 4 MiB."""


def _printable(text: str) -> str:
    if not text.isprintable():
        raise PydanticCustomError("printable", "not printable text")
    return text


_Text = Annotated[str, AfterValidator(_printable)]
_Number = Annotated[int, Field(ge=0, lt=ADDRESS_LIMIT)]
_Orders = Annotated[str, Field(pattern="^(creation|gpa|unknown)$")]


class TraceHeader(BaseModel):
    """The metadata of a trace. `slots` are (number, gpa, size, hva, flags); bytes."""

    model_config = ConfigDict(strict=True, extra="ignore")

    schema_version: int
    name: _Text
    provenance: dict[_Text, _Text]
    slots: list[tuple[_Number, _Number, _Number, _Number, _Number]]
    slot_order: _Orders | None = None
    architecture: _Text = OTHER.name


def read_header(path: Path, raw: bytes | None, version: int) -> TraceHeader:
    """Validate the metadata `raw` of the trace at `path`. Raises InputFileError, one line, if it breaks the schema."""
    if raw is None:
        raise InputFileError(path, None, "not a slotlookup trace; make one with `slotlookup import`")
    remedy = "write the trace again with `slotlookup import`"
    if len(raw) > MOST_METADATA:
        raise InputFileError(path, None, f"{len(raw):,} bytes of metadata; the limit is {MOST_METADATA:,}; {remedy}")
    try:
        # Infinite numbers, lone surrogates and deep nesting are no JSON for this parser.
        content = from_json(raw, allow_inf_nan=False)
    except ValueError:
        raise InputFileError(path, None, f"the trace's metadata is not valid JSON; {remedy}") from None
    if not isinstance(content, dict):
        raise InputFileError(path, None, "not a slotlookup trace; make one with `slotlookup import`")
    found = content.get("schema_version")
    if found != version or type(found) is not int:
        shown = ascii(found)[:40]
        raise InputFileError(path, None, f"trace schema {shown}; this slotlookup reads schema {version}; {remedy}")
    try:
        # From JSON again: in strict mode only JSON's lists are taken for tuples.
        return TraceHeader.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        shown = ascii(place)[1:-1][:80]
        fault = "missing" if first["type"] == "missing" else first["msg"][0].lower() + first["msg"][1:]
        raise InputFileError(path, None, f"the trace's metadata is damaged at {shown}: {fault}; {remedy}") from None
