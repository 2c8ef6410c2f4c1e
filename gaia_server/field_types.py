"""Types of fields: each says once what its values are, for validation, error details and the OpenAPI document. Pure."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, Strict
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """What the values are, in people's words: whatever is wrong with one, its only error is "is not ..."."""

    words: str
    values: CoreSchema | None = None  # None: those of the annotated type

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return how pydantic validates them."""
        return core_schema.custom_error_schema(
            self.values or handler(source),
            custom_error_type="value",
            custom_error_message="is not {words}",
            custom_error_context={"words": self.words},
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return how the OpenAPI document describes them."""
        return {**handler(schema), "description": self.words}


class Conditional:
    """Fields of which one decides what another may be, which JSON Schema says beside the types of both."""

    __slots__ = ()
    conditions: ClassVar[JsonSchemaValue]

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return how the OpenAPI document describes them; what is stored is described by its types alone."""
        found = handler(schema)
        if handler.mode == "validation":
            handler.resolve_ref_schema(found).update(cls.conditions)
        return found


def one_of(words: tuple[str, ...]) -> Words:
    """Describe one of several words."""
    return Words(f"one of {', '.join(words)}", core_schema.literal_schema(list(words)))


def whole(low: int, high: int) -> Words:
    """Describe a whole number within bounds. JSON has one type of numbers: 5.0 is 5."""
    number = core_schema.int_schema(strict=True, ge=low, le=high)
    return Words(
        f"a whole number from {low} to {high}", core_schema.no_info_before_validator_function(_without_point, number)
    )


def _without_point(value: Any) -> Any:
    return int(value) if type(value) is float and value.is_integer() else value  # infinity is no integer


Switch = Annotated[bool, Strict(), Words("true or false")]
Id = Annotated[int, whole(1, 2**63 - 1)]
Count = Annotated[int, Field(ge=0)]
Ratio = Annotated[float, Field(ge=0, le=1)]
Key = Annotated[str, Field(pattern=r"^[!-~]{1,200}$"), Words("1 to 200 printable ASCII characters without spaces")]
"""A user, a session or an API key, in the form that a header can carry."""
