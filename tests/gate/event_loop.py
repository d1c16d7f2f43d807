"""The gate in an event loop, behind a WSGI application."""

import asyncio
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flask import Flask

from apidevices.gate import AsyncGate


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
