"""Every setting of the extension: its default, its meaning, its validation.

A setting ``xyz`` is the key ``APIDEVICES_XYZ`` of ``app.config``. The standalone application reads
it from the environment variable of the same name.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from apidevices.errors import ConfigError
from apidevices.identity import DEFAULT_HEADERS

PREFIX = "APIDEVICES_"

_HEADER_NAME = re.compile(r"[A-Za-z0-9-]+")
_HEX_COLOR = r"#(?:[0-9A-Fa-f]{3}){1,2}"
_ACCENT_COLOR = re.compile(rf"{_HEX_COLOR}(?: +{_HEX_COLOR})?")
# Its origin becomes a part of the Content-Security-Policy, so nothing else may stand in it.
_LOGO_URL = re.compile(r"(?:https?://[A-Za-z0-9.:\[\]-]+)?/(?!/)[^\s\x00-\x20;,\"'<>\\]*")


def _header_names(value: object) -> object:
    """Read ``"X-Device-ID, X-Acme-Device"``."""
    if not isinstance(value, str):
        return value
    names = [name.strip() for name in value.split(",")]
    for name in names:
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not the name of a header")
    return names


HeaderNames = Annotated[tuple[str, ...], BeforeValidator(_header_names)]


def _header(field: str, meaning: str) -> Any:
    return Field(default=tuple(DEFAULT_HEADERS[field]), description=meaning)


class Settings(BaseModel):
    """The settings of the extension, ``APIDEVICES_*``."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    require_device_id: bool = Field(
        default=False,
        description="Refuse requests without a device identifier (400 device_id_required).",
    )
    gate_tokens: bool = Field(
        default=True,
        description="Let no request pass at /verify without a token; false: the API behind"
        " finds out who calls.",
    )
    header_identifier: HeaderNames = _header(
        "identifier", "Header that carries the identifier; several, by comma, in order."
    )
    header_application: HeaderNames = _header("application", "Header of the application.")
    header_application_version: HeaderNames = _header(
        "application_version", "Header of the version of the application."
    )
    header_os: HeaderNames = _header("os", "Header of the operating system.")
    header_os_version: HeaderNames = _header("os_version", "Header of its version.")
    header_manufacturer: HeaderNames = _header("manufacturer", "Header of the manufacturer.")
    header_model: HeaderNames = _header("model", "Header of the model.")
    activity_interval: float = Field(
        default=0.5,
        ge=0.05,
        le=1,
        description="Seconds between two writes of activity times at most.",
    )
    activity_limit: int = Field(
        default=100_000,
        ge=1,
        description="Devices whose activity a process keeps while it can't be written.",
    )

    accent_color: str = Field(
        default="",
        description="Accent colour of the pages, #rrggbb; two for a light and a dark one.",
    )
    logo_url: str = Field(
        default="", description="Logo of the pages: a path, or a URL of another origin."
    )
    base_template: str = Field(
        default="",
        description="Template of the application that the pages extend; see docs/flask.md.",
    )

    @field_validator("accent_color")
    @classmethod
    def _is_accent_color(cls, value: str) -> str:
        if value and not _ACCENT_COLOR.fullmatch(value):
            raise ValueError("give a colour such as #1d5bbf, or two: #1d5bbf #86b2f9")
        return value

    @field_validator("logo_url")
    @classmethod
    def _is_logo_url(cls, value: str) -> str:
        if value and not _LOGO_URL.fullmatch(value):
            raise ValueError("give a path such as /static/logo.svg, or a URL with https://")
        return value

    @model_validator(mode="after")
    def _one_field_a_header(self) -> Self:
        names = [name.lower() for accepted in self.headers.values() for name in accepted]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"APIDEVICES_HEADER_…: {min(twice)} is named more than once")
        return self

    @classmethod
    def from_mapping(cls, config: Mapping[str, Any]) -> Self:
        """Read the keys ``APIDEVICES_*`` of an application's configuration.

        Raises:
            ConfigError: a value is wrong, or a key is no setting.
        """
        values = {
            key.removeprefix(PREFIX).lower(): value
            for key, value in config.items()
            if key.startswith(PREFIX)
        }
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigError.from_validation(error, PREFIX) from None

    @property
    def headers(self) -> dict[str, tuple[str, ...]]:
        """Field -> accepted header names."""
        return {field: getattr(self, f"header_{field}") for field in DEFAULT_HEADERS}
