"""The vocabulary for pydantic: a word outside an enumeration is refused as for a `Literal`.

pydantic would put an enumeration of its own into a schema by reference; schemas list the words where they are used.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, GetCoreSchemaHandler, create_model
from pydantic_core import CoreSchema, core_schema

from slotlookup import vocabulary


class _Listed:
    """Takes the texts of an enumeration's members and yields the members."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        texts = core_schema.literal_schema([member.value for member in source])
        return core_schema.no_info_after_validator_function(source, texts)


Role = Annotated[vocabulary.Role, _Listed()]
Operation = Annotated[vocabulary.Operation, _Listed()]
Count = Annotated[vocabulary.Count, _Listed()]
TimingMode = Annotated[vocabulary.TimingMode, _Listed()]
Placement = Annotated[vocabulary.Placement, _Listed()]
Target = Annotated[vocabulary.Target, _Listed()]


def keyed(base: type[BaseModel], names: type[StrEnum], field: Any) -> Any:
    """A model beneath `base` with a key for each of `names`; `field` is an annotation and a default, `...` for none."""
    return create_model(names.__name__, __base__=base, **{name.value: field for name in names})
