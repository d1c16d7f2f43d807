"""Runs the published Python snippets."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.clients.scenarios import Call

TRACE = {"X-Trace": "17"}


def call_with_python(library: str, code: str, call: Call) -> dict[str, Any]:
    """Make a call with the snippet for this library."""
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - runs code from the documentation
    headers = names["device_headers"](call.token, call.device_id, call.model)
    limits = {"backoff": call.backoff, "longest_wait": call.longest_wait}
    target = (call.method, call.url)
    options = {"headers": TRACE, "data": call.body}

    async def with_aiohttp() -> Any:
        async with names["create_session"](headers, **limits) as session:
            return await names["call_api"](session, *target, **options)

    try:
        if library == "aiohttp":
            # In a new thread, because Playwright leaves an event loop running in this one.
            with ThreadPoolExecutor(1) as thread:
                value = thread.submit(asyncio.run, with_aiohttp()).result()
        elif library == "requests":
            with names["create_session"](headers, **limits) as session:
                value = names["call_api"](session, *target, **options)
        else:
            with names["create_client"](headers, **limits) as client:
                options = {"headers": TRACE, "content": call.body}
                value = names["call_api"](client, *target, **options)
    except names["DeviceBlocked"]:
        return {"outcome": "blocked"}
    except names["SignInRequired"]:
        return {"outcome": "sign in"}
    except names["ApiError"] as error:
        return {"outcome": "error", "status": error.status, "message": str(error)}
    except _unreachable(library, names[library]):
        return {"outcome": "unreachable"}
    return {"outcome": "ok", "value": json.loads(json.dumps(value))}


def _unreachable(library: str, module: Any) -> type[Exception]:
    kinds = {
        "requests": "ConnectionError",
        "httpx": "TransportError",
        "aiohttp": "ClientConnectionError",
    }
    kind: type[Exception] = getattr(module, kinds[library])
    return kind
