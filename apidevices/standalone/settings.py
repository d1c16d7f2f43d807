"""The settings of the standalone server, read from environment variables."""

import io
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from dotenv.parser import parse_stream
from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from apidevices.toolkit import MAX_DAYS, MAX_LIMIT, SETTING_PREFIX, ConfigError, sqlite_file

MAX_BYTES = 2**40
"""The largest number of bytes in uploads per day."""

IS_INSTALLED = (Path(__file__).resolve().parents[1] / "templates").is_dir()

# A checkout keeps its data next to the code, in any working directory. An installed package has no
# such place and uses the working directory.
_INSTANCE = (Path() if IS_INSTALLED else Path(__file__).resolve().parents[2]) / "instance"

MIN_SECRET_KEY = 16
"""The minimum length of the secret key in characters."""

_MULTIPLE_HOSTS = re.compile(
    r"(?P<before>postgresql[^:/]*://(?:[^@/]*@)?)(?P<hosts>[^/?]*,[^/?]*)(?P<after>.*)"
)


_REPLACED = "_APIDEVICES_ENV_FILE_REPLACED"
"""The variable with the previous values of all variables that were read from a file, as JSON."""


class ServerSettings(BaseSettings):
    """The settings of the standalone server. An empty variable counts as not set."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", str_strip_whitespace=True, env_ignore_empty=True
    )

    host: str = Field(default="127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(default=8000, ge=1, le=65_535, description="Port to listen on.")
    web_concurrency: int = Field(default=2, ge=1, le=256, description="Worker processes.")
    database_url: str = Field(
        default="",
        description="`sqlite:///…` or `postgresql://…`. Default: SQLite in the instance folder.",
    )
    secret_key: str = Field(
        default="",
        description="Signs sessions. Default: generated once and kept in the instance folder.",
    )
    apidevices_instance: Path = Field(
        default=_INSTANCE, description="Folder for the database and the secret key."
    )
    apidevices_env_file: Path | None = Field(
        default=None,
        description="File with more variables, `NAME=value` in each line. They take precedence over"
        " the environment. A restart with SIGUSR2 reads the file again.",
    )
    apidevices_threads: int = Field(
        default=8,
        ge=1,
        le=1_000,
        description="Threads per worker process for pages, the client API and the management API.",
    )
    apidevices_connections: int = Field(
        default=1_000,
        ge=1,
        le=100_000,
        description="Maximum open connections per worker process. At the limit, new connections"
        " replace those that have been silent for longest.",
    )
    apidevices_read_timeout: float = Field(
        default=60, ge=0.1, le=3_600, description="Seconds for a client to send a whole request."
    )
    apidevices_send_timeout: float = Field(
        default=60, ge=0.1, le=3_600, description="Seconds for a client to receive a response."
    )
    apidevices_proxies: int = Field(
        default=0,
        ge=0,
        le=10,
        description="Number of trusted proxies in front that set `X-Forwarded-*` and `X-Request-ID`"
        " headers.",
    )
    apidevices_log: Literal["text", "json"] = Field(
        default="text", description="Log lines for people, or JSON objects for programs."
    )
    apidevices_access_log: bool = Field(default=False, description="Log every request.")
    apidevices_keep_uploads_days: int = Field(
        default=365, ge=0, le=MAX_DAYS, description="Days to keep uploads; 0 keeps them forever."
    )
    apidevices_secure_cookies: bool = Field(
        default=False,
        description="Always send the session cookie over HTTPS only. Needed only if a proxy uses"
        " HTTPS and does not set `X-Forwarded-Proto`.",
    )
    apidevices_session_hours: float = Field(
        default=12,
        ge=0.1,
        le=720,
        description="Hours without a request after which a session ends. Sessions end after 30 days"
        " in any case.",
    )
    apidevices_cors_origins: str = Field(
        default="",
        description="Origins whose pages may call `/api/v1`, or an API behind the gate, from a"
        " browser, separated by commas; `*` for any. Default: none.",
    )

    apidevices_uploads_per_day: int = Field(
        default=5_000, ge=0, le=MAX_LIMIT, description="Uploads per device and day; 0 for no limit."
    )
    apidevices_upload_bytes_per_day: int = Field(
        default=50 * 2**20,
        ge=0,
        le=MAX_BYTES,
        description="Bytes in uploads per device and day; 0 for no limit.",
    )
    apidevices_token_uploads_per_day: int = Field(
        default=100_000,
        ge=0,
        le=MAX_LIMIT,
        description="Uploads per token and day; 0 for no limit.",
    )
    apidevices_token_upload_bytes_per_day: int = Field(
        default=2**30,
        ge=0,
        le=MAX_BYTES,
        description="Bytes in uploads per token and day; 0 for no limit.",
    )

    @field_validator("secret_key")
    @classmethod
    def _is_long_enough(cls, value: str) -> str:
        if value and len(value) < MIN_SECRET_KEY:
            raise ValueError(f"must have at least {MIN_SECRET_KEY} characters")
        return value

    @field_validator("database_url")
    @classmethod
    def _is_supported_database(cls, value: str) -> str:
        if value:
            try:
                url = _parse_database_url(value)
            except (ArgumentError, ValueError):
                raise ValueError("not a database URL") from None
            if url.drivername not in ("sqlite", "postgresql", "postgresql+psycopg"):
                raise ValueError("must start with sqlite:/// or postgresql://")
            if url.drivername == "sqlite" and sqlite_file(url) is None:
                raise ValueError(
                    "must name a file: worker processes can't share an in-memory database"
                )
        return value

    @field_validator("apidevices_cors_origins")
    @classmethod
    def _are_origins(cls, value: str) -> str:
        for origin in _split(value):
            if origin != "*" and not re.fullmatch(r"https?://[^/\s*]+", origin):
                raise ValueError(f"{origin!r} is not an origin such as https://app.example.com")
        return value

    @classmethod
    def from_environ(cls) -> Self:
        """Read the environment of this process, and the file that it names.

        Raises:
            ConfigError: A variable has an invalid value, or the file can't be read.
        """
        _load_env_file()
        try:
            return cls()
        except ValidationError as error:
            raise ConfigError.from_validation(error) from None

    @property
    def inherits_sockets(self) -> bool:
        """Whether the server gets its sockets from systemd, or from the server that it replaces."""
        return "GUNICORN_FD" in os.environ or os.environ.get("LISTEN_PID") == str(os.getpid())

    @property
    def bind(self) -> str:
        """Host and port to listen on."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def address(self) -> str:
        """The URL of the server, for browsers on this machine."""
        all_interfaces = self.host in ("0.0.0.0", "::")  # noqa: S104 - a comparison
        return f"http://localhost:{self.port}" if all_interfaces else f"http://{self.bind}"

    @property
    def cors_origins(self) -> list[str]:
        """Origins that may call the API from a browser."""
        return _split(self.apidevices_cors_origins)

    @property
    def url(self) -> URL:
        """The database URL."""
        if not self.database_url:
            path = self.apidevices_instance.resolve() / "apidevices.sqlite3"
            return URL.create("sqlite", database=str(path))
        url = _parse_database_url(self.database_url)
        if url.drivername == "postgresql":
            return url.set(drivername="postgresql+psycopg")
        if url.drivername == "sqlite":
            return self._resolve(url)
        return url

    def _resolve(self, url: URL) -> URL:
        """Make the path of a SQLite database absolute; it is relative to the instance folder.

        Flask-SQLAlchemy would do the same, but create the folder.
        """
        path = url.database or ""
        scheme = "file:" if url.query.get("uri") and path.startswith("file:") else ""
        absolute = self.apidevices_instance.resolve() / path.removeprefix(scheme)
        return url.set(database=f"{scheme}{absolute}")


def extension_settings(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the extension's settings from the environment, for ``app.config``."""
    server_settings = {name.upper() for name in ServerSettings.model_fields}
    return {
        name: value
        for name, value in environ.items()
        if name.startswith(SETTING_PREFIX) and name not in server_settings and value
    }


def _load_env_file() -> None:
    """Set the variables in the file that ``APIDEVICES_ENV_FILE`` names.

    A server that replaces another one inherits the variables that the old one has loaded. Restore
    their previous values first, because the file may no longer contain them.
    """
    file = os.environ.get("APIDEVICES_ENV_FILE")
    if not file:
        return
    if Path(file).exists() and not Path(file).is_file():
        raise ConfigError(f"APIDEVICES_ENV_FILE: {file} is not a file")
    try:
        text = Path(file).read_text()
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise ConfigError(f"APIDEVICES_ENV_FILE: can't read {file}: {reason}") from None
    values: dict[str, str] = {}
    for line in parse_stream(io.StringIO(text)):
        is_invalid = "\0" in line.original.string or "=" in (line.key or "")
        if line.error or is_invalid or (line.key and line.value is None):
            number = line.original.line
            raise ConfigError(f"APIDEVICES_ENV_FILE: line {number} of {file} is not NAME=value")
        if line.key:
            values[line.key] = line.value or ""
    for name, value in json.loads(os.environ.pop(_REPLACED, "{}")).items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    os.environ[_REPLACED] = json.dumps({name: os.environ.get(name) for name in values})
    os.environ.update(values)


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _parse_database_url(text: str) -> URL:
    """Parse a database URL. As in libpq, it may list several hosts: ``host1:port1,host2:port2``.

    Raises:
        ArgumentError, ValueError: It is not a database URL.
    """
    match = _MULTIPLE_HOSTS.fullmatch(text)
    if match is None:
        return make_url(text)
    url = make_url(match["before"] + match["after"])
    url = url.update_query_pairs([("host", host) for host in match["hosts"].split(",")])
    if "target_session_attrs" not in url.query:
        # A standby lags behind and may not know yet that a device has been blocked.
        url = url.update_query_dict({"target_session_attrs": "read-write"})
    return url
