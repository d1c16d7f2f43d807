"""The filters of the list."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from apidevices.fields import Moment, RowId
from apidevices.listing import search
from apidevices.listing.conditions import Keeps, RowCondition
from apidevices.models import Device, DeviceToken
from apidevices.text import clean_text

Status = Literal["all", "active", "blocked"]


class Filters(BaseModel):
    """Filters of the device list. Devices must match all of them.

    Each field is a parameter of the API, with the same name, and an option of the command ``list``.
    To add a filter, add a field with ``Keeps`` here; its condition needs an index.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(default="", description="Part of the name or identifier, not case-sensitive.")
    status: Status = Field(default="all", description="'active' excludes blocked devices.")
    token: Annotated[
        RowId | None, Keeps(DeviceToken.device_id, lambda token: DeviceToken.token_id == token)
    ] = Field(default=None, description="Id of a token: keeps devices that have used it.")
    registered_after: Annotated[
        Moment | None, Keeps(Device.id, lambda moment: Device.first_seen_at > moment)
    ] = Field(
        default=None,
        description="Keeps devices first seen after this time: RFC 3339 with a time zone.",
    )

    def __bool__(self) -> bool:
        """Return whether any filter is set."""
        return any(
            getattr(self, name) != field.default for name, field in type(self).model_fields.items()
        )

    @property
    def text(self) -> str:
        """The name filter, folded like search keys."""
        return search.fold(clean_text(self.name))

    @property
    def conditions(self) -> Iterator[RowCondition]:
        """The conditions of the filters that are set, except for ``name`` and ``status``."""
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            for keeps in field.metadata:
                if isinstance(keeps, Keeps) and value is not None:
                    yield keeps.condition(value)
