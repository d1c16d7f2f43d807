"""Responses that the event loop holds back."""

import asyncio
from typing import Any

import pytest
from flask import Flask, request

from apidevices.standalone.asgi import Application
from apidevices.standalone.delay import hold_back
from apidevices.standalone.settings import ServerSettings
from tests.event_loops import run_async


def scope_of(path: str) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "GET",
        "raw_path": path.encode(),
        "query_string": b"",
        "http_version": "1.1",
        "scheme": "http",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 9),
        "headers": [],
    }


@pytest.mark.database("sqlite")
def test_response_that_is_held_back_occupies_no_thread(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    @app.get("/later")
    def later() -> str:
        hold_back(request.environ, 0.5)
        return "later"

    @app.get("/now")
    def now() -> str:
        return "now"

    monkeypatch.setenv("APIDEVICES_THREADS", "1")
    server = Application(app, ServerSettings.from_environ())
    finished: list[str] = []

    async def get(path: str) -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                assert message["status"] == 200
                finished.append(path)

        await server(scope_of(path), receive, send)

    async def get_both() -> None:
        first = asyncio.create_task(get("/later"))
        await asyncio.sleep(0.1)
        await get("/now")
        await first

    run_async(get_both())
    assert finished == ["/now", "/later"]
