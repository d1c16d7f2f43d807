"""Logs on standard error: lines for people or JSON for programs, and an access log.

They never contain tokens, passwords, cookies or bodies.
"""

import json
import logging
import logging.config
import re
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

from apidevices.standalone import request_ids
from apidevices.standalone.settings import ServerSettings

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

# The paths of setup and reset links, and API Devices tokens. Nothing logs them on purpose.
_SECRETS = re.compile(r"(/setup/|/reset-password/|apd_)[^\s?'\"]{8,}", re.IGNORECASE)
_LINK_PATH = re.compile(r"(/setup/|/reset-password/).+", re.IGNORECASE | re.DOTALL)

_access = logging.getLogger("apidevices.access")


def configure(settings: ServerSettings) -> None:
    """Configure the logging of this process, and of the workers that it forks."""
    logging.config.dictConfig(configuration(settings))
    logging.captureWarnings(True)


def configuration(settings: ServerSettings) -> dict[str, Any]:
    """Return the configuration for ``logging.config.dictConfig``."""
    formatter = JsonFormatter if settings.apidevices_log == "json" else TextFormatter
    own = {"handlers": ["stderr"], "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": formatter}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"level": "WARNING", "handlers": ["stderr"]},
        "loggers": {
            "apidevices.housekeeping": {"level": "INFO"},
            "gunicorn.error": {"level": "INFO", **own},  # uvicorn's logger shares its handler
            _access.name: {
                "level": "INFO" if settings.apidevices_access_log else "WARNING",
                **own,
            },
        },
    }


class TextFormatter(logging.Formatter):
    """A line for people. Only tracebacks have more lines, which are indented."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = f"{_time(record)} [{record.process}] {record.levelname} {record.getMessage()}"
        if request_id := request_ids.current.get():
            line += f" [{request_id}]"
        line = _CONTROL.sub(_escaped, line)
        if record.exc_info:
            line += "".join(
                f"\n    {_CONTROL.sub(_escaped, part)}"
                for part in self.formatException(record.exc_info).split("\n")
            )
        return _without_secrets(line)


class JsonFormatter(logging.Formatter):
    """A JSON object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": _without_secrets(record.getMessage()),
        }
        if request_id := request_ids.current.get():
            fields["request_id"] = _without_secrets(request_id)
        if record.exc_info:
            fields["exception"] = _without_secrets(self.formatException(record.exc_info))
        return json.dumps(fields | getattr(record, "request", {}))


class Access:
    """Logs a request when it has been handled.

    Args:
        environ: The WSGI environment of the request.
        send: The ASGI callable that sends the response.
    """

    def __init__(self, environ: dict[str, Any], send: Any) -> None:
        self._environ = environ
        self._send = send
        self._started = perf_counter()
        self._status: int | None = None
        self._bytes = 0

    async def send(self, message: dict[str, Any]) -> None:
        """Send a part of the response."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
        else:
            self._bytes += len(message["body"])
        await self._send(message)

    def write(self) -> None:
        """Write the log record. The query is left out, because it may contain secrets."""
        path = self._environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
        fields = {
            "method": self._environ["REQUEST_METHOD"],
            "path": _LINK_PATH.sub(r"\1***", _without_secrets(path)),
            "status": self._status,
            "bytes": self._bytes,
            "duration_ms": round((perf_counter() - self._started) * 1000, 2),
            "client": self._environ["REMOTE_ADDR"],
        }
        _access.info(
            "%(method)s %(path)s %(status)s %(bytes)s bytes %(duration_ms)s ms %(client)s",
            fields,
            extra={"request": fields},
        )


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _escaped(control: re.Match[str]) -> str:
    return control[0].encode("unicode_escape").decode()


def _without_secrets(text: str) -> str:
    return _SECRETS.sub(r"\1***", text)
