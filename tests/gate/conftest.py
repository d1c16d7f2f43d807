"""The gate in each of the ways in which it runs."""

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from apidevices.gate import AsyncGate, Gate
from tests.conftest import MakeApp

Wsgi = Callable[..., Iterable[bytes]]


class InEventLoop:
    """An application whose gate responds in the event loop of another thread."""

    def __init__(self, app: Flask) -> None:
        self._next_app = app.wsgi_app
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._executor = ThreadPoolExecutor(4)
        self._gate = AsyncGate(app, self._executor)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if not self._gate.handles(environ["PATH_INFO"]):
            return self._next_app(environ, start_response)
        task = asyncio.run_coroutine_threadsafe(self._gate.respond_async(environ), self._loop)
        status, headers, body = task.result(30)
        start_response(f"{status} ", headers)
        return [body]

    def close(self) -> None:
        async def close() -> None:
            self._gate.close()

        asyncio.run_coroutine_threadsafe(close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._executor.shutdown()


@pytest.fixture(params=["WSGI middleware", "event loop", "blueprint"])
def make_gate(request: pytest.FixtureRequest, make_app: MakeApp) -> Iterator[MakeApp]:
    """Create applications whose gate runs in one of the three ways."""
    running: list[InEventLoop] = []

    def make(**variables: str) -> Flask:
        app = make_app(**variables)
        middleware: Any = app.wsgi_app
        assert isinstance(middleware.wsgi_app, Gate)
        if request.param == "blueprint":
            del app.wsgi_app  # the standalone application has replaced the method
        elif request.param == "event loop":
            running.append(InEventLoop(app))
            app.wsgi_app = running[-1]  # type: ignore[method-assign]  # as Flask documents
        return app

    yield make
    for gate in running:
        gate.close()


@pytest.fixture
def app(make_gate: MakeApp) -> Flask:
    return make_gate()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()
