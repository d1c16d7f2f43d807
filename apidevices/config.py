"""The settings of the extension: names, defaults, descriptions and validation.

The setting ``xyz`` is the key ``APIDEVICES_XYZ`` of ``app.config``. The standalone application
reads it from the environment variable of the same name.
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
from apidevices.limits import MAX_NUMBER

PREFIX = "APIDEVICES_"

ARCHIVE_DAYS = f"{PREFIX}ARCHIVE_DAYS"
"""The setting of the stale rule."""

MAX_DAYS = 36_500
"""The maximum of settings in days: a hundred years."""

_HEADER_NAME = re.compile(r"[A-Za-z0-9-]+")
_HEX_COLOR = r"#(?:[0-9A-Fa-f]{3}){1,2}"
_ACCENT_COLOR = re.compile(rf"{_HEX_COLOR}(?: +{_HEX_COLOR})?")
# Strict, because the URL's origin goes into the Content-Security-Policy header.
_LOGO_URL = re.compile(r"(?:https?://[A-Za-z0-9.:\[\]-]+)?/(?!/)[^\s\x00-\x20;,\"'<>\\]*")


def _header_names(value: object) -> object:
    """Split a comma-separated string such as ``"X-Device-ID, X-Acme-Device"``."""
    if not isinstance(value, str):
        return value
    names = [name.strip() for name in value.split(",")]
    for name in names:
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a header name")
    return names


HeaderNames = Annotated[tuple[str, ...], BeforeValidator(_header_names)]


def _header(field: str, meaning: str) -> Any:
    return Field(default=tuple(DEFAULT_HEADERS[field]), description=meaning)


def _days(default: int, what: str) -> Any:
    return Field(
        default=default, ge=0, le=MAX_DAYS, description=f"Days to keep {what}; 0 keeps it forever."
    )


class Settings(BaseModel):
    """The settings of the extension, ``APIDEVICES_*``."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    require_device_id: bool | None = Field(
        default=None,
        description="Reject requests without a device identifier (400 device_id_required): true"
        " everywhere, false nowhere. Default: only at the gate.",
    )
    gate_tokens: bool = Field(
        default=True,
        description="Require a token at /verify. If false, the API behind the proxy authenticates"
        " its callers.",
    )
    header_identifier: HeaderNames = _header(
        "identifier",
        "Header of the identifier. Separate several names with commas; the first wins.",
    )
    header_application: HeaderNames = _header("application", "Header of the application name.")
    header_application_version: HeaderNames = _header(
        "application_version", "Header of the application version."
    )
    header_os: HeaderNames = _header("os", "Header of the operating system name.")
    header_os_version: HeaderNames = _header(
        "os_version", "Header of the operating system version."
    )
    header_manufacturer: HeaderNames = _header("manufacturer", "Header of the manufacturer.")
    header_model: HeaderNames = _header("model", "Header of the model.")
    activity_interval: float = Field(
        default=0.5,
        ge=0.05,
        le=1,
        description="Seconds between two writes of activity times.",
    )
    activity_limit: int = Field(
        default=100_000,
        ge=1,
        description="Maximum devices whose activity a process keeps in memory while the database is"
        " unavailable.",
    )
    new_devices_per_hour: int = Field(
        default=1_000,
        ge=0,
        le=MAX_NUMBER,
        description="New devices per API Devices token and hour; 0 for no limit. A token can have"
        " its own number. Without API Devices tokens, the limit applies to each client address.",
    )
    changes_per_hour: int = Field(
        default=60,
        ge=0,
        le=MAX_NUMBER,
        description="Changes of its details per device and hour; 0 for no limit.",
    )
    token_changes_per_hour: int = Field(
        default=10_000,
        ge=0,
        le=MAX_NUMBER,
        description="Repeated changes of details per token and hour, by devices that have changed"
        " within the last day; 0 for no limit.",
    )

    disk_reserve: int = Field(
        default=0,
        ge=0,
        le=65_536,
        description="MiB of disk space to set aside, so that devices can be blocked when the disk"
        " with the database is full. The standalone application's default is 64.",
    )
    archive_days: int = Field(
        default=0,
        ge=0,
        le=MAX_DAYS,
        description="Days without a request after which a device is archived; 0 archives none.",
    )
    keep_history_days: int = _days(730, "the history of devices")
    keep_denials_days: int = _days(365, "the counts and times of a device's denied attempts")
    keep_activity_days: int = _days(90, "the daily counts of a device's requests")
    keep_audit_days: int = _days(730, "the audit log")

    accent_color: str = Field(
        default="",
        description="Accent color of the pages, #rrggbb. Give two for light and dark mode.",
    )
    logo_url: str = Field(default="", description="Logo of the pages: a path or an absolute URL.")
    base_template: str = Field(
        default="",
        description="Host application template that the pages extend; see docs/flask.md.",
    )

    @field_validator("accent_color")
    @classmethod
    def _is_accent_color(cls, value: str) -> str:
        if value and not _ACCENT_COLOR.fullmatch(value):
            raise ValueError("give a color such as #1d5bbf, or two: #1d5bbf #86b2f9")
        return value

    @field_validator("logo_url")
    @classmethod
    def _is_logo_url(cls, value: str) -> str:
        if value and not _LOGO_URL.fullmatch(value):
            raise ValueError("give a path such as /static/logo.svg, or a URL with https://")
        return value

    @model_validator(mode="after")
    def _has_unique_headers(self) -> Self:
        settings: dict[str, str] = {}
        for field, names in self.headers.items():
            setting = f"{PREFIX}HEADER_{field.upper()}"
            for name in names:
                other = settings.setdefault(name.lower(), setting)
                if other != setting:
                    raise ValueError(f"{other}, {setting}: both use the header {name}")
            if len({name.lower() for name in names}) < len(names):
                raise ValueError(f"{setting}: contains a header twice")
        return self

    @classmethod
    def from_mapping(cls, config: Mapping[str, Any]) -> Self:
        """Read the ``APIDEVICES_*`` keys of an application's configuration.

        Raises:
            ConfigError: A value is invalid or a key is unknown.
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
        """Field -> accepted header names, in order of precedence."""
        return {field: getattr(self, f"header_{field}") for field in DEFAULT_HEADERS}
