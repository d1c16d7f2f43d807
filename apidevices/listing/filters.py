"""The filters of the list."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, Self, get_origin

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from sqlalchemy import and_
from werkzeug.datastructures import MultiDict

from apidevices.clock import rfc3339
from apidevices.fields import Days, Moment, RowId
from apidevices.listing import search
from apidevices.listing.conditions import (
    ActivityCondition,
    Keeps,
    RowCondition,
    Scope,
    has_mark,
    has_no_name,
    has_no_upload,
    has_uploaded,
    is_active,
    is_denied,
    is_inactive,
    keys,
)
from apidevices.models import DeviceTag, DeviceToken
from apidevices.text import MAX_LENGTH, clean_text

Status = Literal["all", "active", "blocked"]

MAX_TAGS = 20
"""The maximum number of tags in one filter."""

ANY_CASE = ("application", "os", "manufacturer", "model")
"""The details that a filter compares without regard to case."""

EXACT = ("application_version", "os_version")
"""The details that a filter compares exactly."""


NEEDS_APPLICATION: dict[str, Any] = {
    "if": {"required": ["version_below"], "properties": {"version_below": {"minLength": 1}}},
    "then": {"required": ["application"], "properties": {"application": {"minLength": 1}}},
}
"""The rule that ``version_below`` needs ``application``, as JSON Schema."""


def _tuple(values: object) -> object:
    return tuple(values) if isinstance(values, list) else values


Tags = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=MAX_LENGTH)], ...],
    Field(max_length=MAX_TAGS),
    BeforeValidator(_tuple),
]

_DIGIT = re.compile("[0-9]")
_DATE = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _has_tag(tag: str, _scope: Scope) -> RowCondition:
    return RowCondition(DeviceTag.device_id, DeviceTag.key == search.fold(clean_text(tag)))


def _has_used(token_id: int, _scope: Scope) -> RowCondition:
    return RowCondition(DeviceToken.device_id, DeviceToken.token_id == token_id)


def _is_registered_after(moment: datetime, scope: Scope) -> RowCondition:
    is_after = and_(scope.in_keys(keys), keys.first_seen_at > moment)
    return RowCondition(keys.device_id, is_after, within_list=True)


class Filters(BaseModel):
    """Filters of the device list. Devices must match all of them.

    Each field is a parameter of the API and of the page, with the same name, and an option of the
    commands. The default of a field means that the filter is not set. To add a filter, add a field
    with ``Keeps`` here; its condition needs an index.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=NEEDS_APPLICATION)

    name: str = Field(default="", description="Part of the name or identifier, not case-sensitive.")
    status: Status = Field(default="all", description="'active' excludes blocked devices.")
    application: str = Field(default="", description="The application, not case-sensitive.")
    application_version: str = Field(default="", description="Exactly this application version.")
    version_below: str = Field(
        default="",
        max_length=MAX_LENGTH,
        json_schema_extra={"pattern": "^$|[0-9]"},
        description="Only devices whose application version is lower: 2.9 is lower than 2.10."
        " Needs 'application'.",
    )
    os: str = Field(default="", description="The operating system, not case-sensitive.")
    os_version: str = Field(default="", description="Exactly this version of the system.")
    manufacturer: str = Field(default="", description="The manufacturer, not case-sensitive.")
    model: str = Field(default="", description="The model, not case-sensitive.")
    tag: Annotated[Tags, Keeps(_has_tag)] = Field(
        default=(),
        description="A tag, not case-sensitive. Repeat it for devices with all of several tags.",
    )
    token: Annotated[RowId | None, Keeps(_has_used)] = Field(
        default=None, description="Only devices that have used the token with this id."
    )
    registered_after: Annotated[Moment | None, Keeps(_is_registered_after)] = Field(
        default=None,
        description="Only devices first seen after this time: RFC 3339 with a time zone.",
    )
    active_days: Annotated[Days | None, Keeps(is_active)] = Field(
        default=None, description="Only devices that have been active in this many days."
    )
    inactive_days: Annotated[Days | None, Keeps(is_inactive)] = Field(
        default=None, description="Only devices that have not been active for this many days."
    )
    no_upload_days: Annotated[Days | None, Keeps(has_no_upload)] = Field(
        default=None,
        description="Only devices that have been active in this many days, without an upload.",
    )
    uploaded: Annotated[bool, Keeps(has_uploaded)] = Field(
        default=False, description="Only devices that have uploaded anything."
    )
    unnamed: Annotated[bool, Keeps(has_no_name)] = Field(
        default=False, description="Only devices that have no name of their own."
    )
    denied: Annotated[bool, Keeps(is_denied)] = Field(
        default=False,
        description="Only blocked devices that have sent a request since they were blocked.",
    )
    shared: Annotated[bool, Keeps(has_mark("shared"))] = Field(
        default=False,
        description="Only devices that may be several: their details swing between two sets.",
    )
    archived: bool = Field(
        default=False,
        description="Only archived devices. Without this filter, these are left out.",
    )

    @field_validator("version_below")
    @classmethod
    def _check_version(cls, version: str, info: ValidationInfo) -> str:
        if version and not info.data.get("application"):
            raise ValueError("needs 'application'")
        if version and not _DIGIT.search(version):
            raise ValueError("must contain a number")
        return version

    @classmethod
    def lenient(cls, parameters: MultiDict[str, str]) -> Self:
        """Return the filters in the URL of a page. Whatever is unknown or invalid is left out."""
        filters = cls()
        for name in cls.model_fields:
            values = parameters.getlist(name)
            # Tags are added one by one, so that an invalid one doesn't remove the others.
            for value in values if cls.is_list(name) else values[:1]:
                filters = filters._with(name, value)
        return filters

    def _with(self, name: str, value: str) -> Self:
        """Return these filters and another one, unless that is invalid."""
        given = self.model_dump(exclude_defaults=True)
        cleaned = clean_text(value)[: MAX_LENGTH + 1]
        # A date field has no time. The day begins in UTC, like those that the page shows.
        if name == "registered_after" and _DATE.fullmatch(cleaned):
            cleaned += "T00:00:00Z"
        given[name] = [*given.get(name, ()), cleaned] if self.is_list(name) else cleaned
        try:
            return type(self).model_validate(given)
        except ValidationError:
            return self

    @classmethod
    def is_list(cls, name: str) -> bool:
        """Return whether a filter can have several values."""
        return get_origin(cls.model_fields[name].annotation) is tuple

    @property
    def query(self) -> list[tuple[str, str]]:
        """The parameters of a URL with these filters; those that are not set are left out."""
        return [
            (name, _as_parameter(each))
            for name, value in self._set_fields()
            for each in (value if isinstance(value, tuple) else (value,))
        ]

    def __bool__(self) -> bool:
        """Return whether any filter is set."""
        return any(True for _ in self._set_fields())

    @property
    def text(self) -> str:
        """The name filter, folded like search keys."""
        return search.fold(clean_text(self.name))

    @property
    def details(self) -> Mapping[str, str]:
        """The filters for details that are set, without ``version_below``: field -> value."""
        wanted = {name: getattr(self, name) for name in (*ANY_CASE, *EXACT)}
        return {name: clean_text(value) for name, value in wanted.items() if value}

    def conditions(self, scope: Scope) -> Iterator[RowCondition | ActivityCondition]:
        """Return the conditions of filters that are set, except those that aren't ``Keeps``."""
        for name, value in self._set_fields():
            for keeps in type(self).model_fields[name].metadata:
                if isinstance(keeps, Keeps):
                    for each in value if isinstance(value, tuple) else (value,):
                        yield keeps.condition(each, scope)

    def _set_fields(self) -> Iterator[tuple[str, Any]]:
        for name, field in type(self).model_fields.items():
            if (value := getattr(self, name)) != field.default:
                yield name, value


def _as_parameter(value: object) -> str:
    if isinstance(value, datetime):
        return rfc3339(value) or ""
    return "1" if value is True else str(value)
