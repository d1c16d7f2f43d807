"""Log lines: their formats, what they leave out, and control characters."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from apidevices.standalone import request_ids
from apidevices.standalone.logs import JsonFormatter, TextFormatter, configuration
from apidevices.standalone.settings import ServerSettings
from tests.conftest import only_settings

TOKEN = "apd_" + "x" * 43
MAKE_SETUP_PATH = "/setup/{}".format


def record(message: str, *arguments: object, error: Exception | None = None) -> logging.LogRecord:
    info: Any = None
    if error is not None:
        with suppress(type(error)):
            raise error
        info = (type(error), error, error.__traceback__)
    return logging.LogRecord("apidevices.x", logging.ERROR, "x.py", 1, message, arguments, info)


def as_json(entry: logging.LogRecord) -> dict[str, Any]:
    line = JsonFormatter().format(entry)
    assert "\n" not in line
    parsed: dict[str, Any] = json.loads(line)
    return parsed


@pytest.fixture
def current_id() -> Iterator[str]:
    token = request_ids.current.set("request-1")
    yield "request-1"
    request_ids.current.reset(token)


def test_text_line_has_time_process_level_and_message() -> None:
    entry = record("It is %s", "late")
    entry.created = 1_893_456_000.5
    entry.process = 7
    assert TextFormatter().format(entry) == "2030-01-01T00:00:00.500Z [7] ERROR It is late"


def test_json_line_has_the_same_fields() -> None:
    entry = record("It is %s", "late")
    entry.created = 1_893_456_000.5
    entry.process = 7
    assert as_json(entry) == {
        "time": "2030-01-01T00:00:00.500Z",
        "level": "error",
        "logger": "apidevices.x",
        "process": 7,
        "message": "It is late",
    }


def test_request_id_is_in_the_line(current_id: str) -> None:
    assert TextFormatter().format(record("Late")).endswith("Late [request-1]")
    assert as_json(record("Late"))["request_id"] == current_id


def test_control_characters_are_escaped() -> None:
    line = TextFormatter().format(record("%s", "a\r\n2030 ERROR forged\x1b[31m\x85\u2028b\x00"))
    assert line.endswith(r"ERROR a\r\n2030 ERROR forged\x1b[31m\x85\u2028b\x00")


def test_traceback_is_indented_so_that_it_cannot_imitate_a_line() -> None:
    line = TextFormatter().format(record("Failed", error=ValueError("a\n2030 ERROR forged\x1b")))
    first, *others = line.split("\n")
    assert first.endswith("ERROR Failed")
    assert all(other.startswith("    ") for other in others)
    assert others[-1] == r"    2030 ERROR forged\x1b"


def test_json_has_the_traceback_as_a_field() -> None:
    assert "ValueError: late" in as_json(record("Failed", error=ValueError("late")))["exception"]


@pytest.mark.parametrize("format_line", [TextFormatter().format, JsonFormatter().format])
def test_tokens_and_links_are_masked(
    format_line: Callable[[logging.LogRecord], str],
) -> None:
    secret = "IjEi.aBcDeF.0123456789-_abc"
    for path in (
        MAKE_SETUP_PATH(secret),
        "/" + MAKE_SETUP_PATH("/" + secret),
        f"/reset-password/{secret}",
    ):
        line = format_line(record("Exception on %s [GET]", path, error=ValueError(path)))
        assert secret not in line
        assert "[GET]" in line
    line = format_line(record("%s is bad", TOKEN, error=ValueError(TOKEN)))
    assert "xxx" not in line
    assert "apd_*** is bad" in line


@pytest.mark.parametrize(
    ("variables", "formatter", "level"),
    [
        ({}, TextFormatter, "WARNING"),
        ({"APIDEVICES_LOG": "json", "APIDEVICES_ACCESS_LOG": "true"}, JsonFormatter, "INFO"),
    ],
)
def test_settings_choose_the_format_and_the_access_log(
    variables: dict[str, str], formatter: type[logging.Formatter], level: str
) -> None:
    with only_settings(variables):
        config = configuration(ServerSettings.from_environ())
    assert config["formatters"]["line"]["()"] is formatter
    assert config["loggers"]["apidevices.access"]["level"] == level
