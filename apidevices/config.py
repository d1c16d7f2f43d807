"""Every setting: its default, its meaning, its check.

A setting ``xyz`` is the environment variable ``APIDEVICES_XYZ`` and the key ``APIDEVICES_XYZ`` of
``app.config``; those of the server itself (``HOST``, ``PORT`` and so on) carry no prefix.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

import click
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from apidevices import paths
from apidevices.identity import DEFAULT_HEADERS

PREFIX = "APIDEVICES_"

_SEVERAL_HOSTS = re.compile(
    r"(?P<before>postgresql[^:/]*://(?:[^@/]*@)?)(?P<hosts>[^/?]*,[^/?]*)(?P<after>.*)"
)
_HEADER_NAME = re.compile(r"[A-Za-z0-9-]+")
_HEX_COLOR = r"#(?:[0-9A-Fa-f]{3}){1,2}"
_ACCENT_COLOR = re.compile(rf"{_HEX_COLOR}(?: +{_HEX_COLOR})?")
# Its origin becomes a part of the Content-Security-Policy, so nothing else may stand in it.
_LOGO_URL = re.compile(r"(?:https?://[A-Za-z0-9.:\[\]-]+)?/(?!/)[^\s\x00-\x20;,\"'<>\\]*")


class ConfigError(click.ClickException, ValueError):
    """A setting has a wrong value; the message is one line that names the variable.

    Commands show it as they show any error of usage, without a traceback.
    """


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


class _Checked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    @classmethod
    def _checked(cls, values: Mapping[str, object], prefix: str) -> Self:
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            message = first["msg"].removeprefix("Value error, ")
            if first["type"] == "extra_forbidden":
                message = "there is no such setting"
            if first["loc"]:
                message = f"{prefix}{str(first['loc'][0]).upper()}: {message}"
            raise ConfigError(message) from None


class Settings(_Checked):
    """The settings of the extension, ``APIDEVICES_*``."""

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
        return cls._checked(_unprefixed(config, ServerSettings.prefixed()), PREFIX)

    @property
    def headers(self) -> dict[str, tuple[str, ...]]:
        """Field -> accepted header names."""
        return {field: getattr(self, f"header_{field}") for field in DEFAULT_HEADERS}


class ServerSettings(_Checked):
    """The settings of the standalone server; they are read from the environment alone."""

    host: str = Field(default="127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(default=8000, ge=1, le=65_535, description="Port to listen on.")
    web_concurrency: int = Field(default=2, ge=1, le=256, description="Worker processes.")
    database_url: str = Field(
        default="",
        description="sqlite:///… or postgresql://…; empty: SQLite in the instance folder.",
    )
    secret_key: str = Field(
        default="",
        description="Signs sessions; empty: made once and kept in the instance folder.",
    )
    apidevices_instance: Path = Field(
        default=paths.INSTANCE, description="Folder of the database and the secret key."
    )
    apidevices_threads: int = Field(
        default=8, ge=1, le=1_000, description="Threads of each worker process."
    )
    apidevices_proxies: int = Field(
        default=0,
        ge=0,
        le=10,
        description="Proxies in front whose X-Forwarded-* headers are to be believed.",
    )
    apidevices_secure_cookies: bool = Field(
        default=False, description="Send the session cookie over HTTPS only."
    )

    @field_validator("secret_key")
    @classmethod
    def _long_enough(cls, value: str) -> str:
        if value and len(value) < 16:
            raise ValueError("a secret key has 16 characters at least")
        return value

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str) -> str:
        if value:
            try:
                url = _database_url(value)
            except (ArgumentError, ValueError):
                raise ValueError("this is not a database URL") from None
            if url.drivername not in ("sqlite", "postgresql", "postgresql+psycopg"):
                raise ValueError("the database is sqlite:///… or postgresql://…")
            if url.drivername == "sqlite" and url.database in (None, "", ":memory:"):
                raise ValueError("a database in memory can't be shared by processes; name a file")
        return value

    @classmethod
    def prefixed(cls) -> frozenset[str]:
        """Return the variables of the server that begin with the prefix of the extension."""
        return frozenset(
            name.upper() for name in cls.model_fields if name.upper().startswith(PREFIX)
        )

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Read the variables of the server; an empty one counts as not set.

        Raises:
            ConfigError: a value is wrong.
        """
        values = {
            name: environ[name.upper()] for name in cls.model_fields if environ.get(name.upper())
        }
        return cls._checked(values, "")

    @property
    def bind(self) -> str:
        """Host and port to listen on."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def address(self) -> str:
        """The server's address, as somebody at this machine opens it."""
        everywhere = self.host in ("0.0.0.0", "::")  # noqa: S104 - a comparison
        return f"http://localhost:{self.port}" if everywhere else f"http://{self.bind}"

    @property
    def url(self) -> URL:
        """The database's URL."""
        if not self.database_url:
            path = self.apidevices_instance.resolve() / "apidevices.sqlite3"
            return URL.create("sqlite", database=str(path))
        url = _database_url(self.database_url)
        if url.drivername == "postgresql":
            return url.set(drivername="postgresql+psycopg")
        return url


def _database_url(text: str) -> URL:
    """Read a database URL; one with several hosts as libpq reads it, ``host1:port1,host2:port2``.

    Raises:
        ArgumentError, ValueError: it isn't one.
    """
    several = _SEVERAL_HOSTS.fullmatch(text)
    if several is None:
        return make_url(text)
    url = make_url(several["before"] + several["after"])
    url = url.update_query_pairs([("host", host) for host in several["hosts"].split(",")])
    if "target_session_attrs" not in url.query:
        # A standby may not know yet that a device is blocked.
        url = url.update_query_dict({"target_session_attrs": "read-write"})
    return url


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of the extension that the environment gives, for ``app.config``."""
    return {
        PREFIX + name.upper(): value
        for name, value in _unprefixed(environ, ServerSettings.prefixed()).items()
        if value
    }


def _unprefixed(values: Mapping[str, Any], without: Iterable[str]) -> dict[str, Any]:
    skipped = frozenset(without)
    return {
        key.removeprefix(PREFIX).lower(): value
        for key, value in values.items()
        if key.startswith(PREFIX) and key not in skipped
    }
