"""``/verify``: forward authentication for a proxy in front of an API in any language.

The proxy calls it before forwarding a request. A 200 allows the request, and its headers identify
the caller to the API. Any other response is an error to pass on to the client, with the usual
problem body.
"""

import logging
from urllib.parse import quote

from flask import Request, Response, request
from flask.sansio.blueprints import BlueprintSetupState
from flask.typing import ResponseReturnValue
from werkzeug.routing import Rule

from apidevices import state
from apidevices.problems import Problem
from apidevices.protection import AnyPath, OwnBlueprint

logger = logging.getLogger(__name__)

_ASCII = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")

blueprint = OwnBlueprint("apidevices_gate", __name__)


@blueprint.record
def _add_rules(setup: BlueprintSetupState) -> None:
    """Route every method and path below ``/verify`` to the gate.

    Envoy appends the original path to ``/verify`` and keeps the original method. Other proxies call
    ``/verify`` itself with GET, and send the original method and URI in headers.
    """
    endpoint = f"{setup.name_prefix}.{setup.name}.verify".lstrip(".")
    setup.app.view_functions[endpoint] = verify
    setup.app.url_map.converters["apidevices_path"] = AnyPath
    for path in ("/verify", "/verify/<apidevices_path:original_path>"):
        setup.app.url_map.add(
            Rule(
                f"{setup.url_prefix or ''}{path}",
                endpoint=endpoint,
                strict_slashes=False,
                merge_slashes=False,
            )
        )


def verify(original_path: str = "") -> ResponseReturnValue:
    """Return 200 if the original request is allowed, else the problem that denies it."""
    try:
        return Response(status=200, headers=_check(_original(request)))
    except Problem as problem:
        logger.info(
            "Denied by the gate: %s %s: %s", *_method_and_uri(request), problem.problem_code
        )
        response = problem.get_response()
        # nginx can pass a header of this response to the client, but not the body.
        response.headers["X-Problem"] = response.get_data(as_text=True).strip()
        return response


def _check(original: Request) -> dict[str, str]:
    """Check and record a request; return the headers that identify its caller to the API.

    Raises:
        Problem: The request is denied.
    """
    caller = state.current().gate_tracker.check_and_record(original)
    # Send empty values too: Caddy would forward a placeholder instead of a missing header.
    values = {
        "X-Device-Id": caller and caller.identifier,
        "X-Device-Name": caller and (caller.device_name or caller.identifier),
        "X-Token-Name": caller and caller.token_name,
    }
    return {name: quote(value or "", _ASCII) for name, value in values.items()}


def _original(subrequest: Request) -> Request:
    """Return the original request: the proxy's request with the original method."""
    method, _ = _method_and_uri(subrequest)
    return Request({**subrequest.environ, "REQUEST_METHOD": method})


def _method_and_uri(subrequest: Request) -> tuple[str, str]:
    """Return the method and URI of the original request."""
    headers = subrequest.headers
    method = (
        headers.get("X-Original-Method") or headers.get("X-Forwarded-Method") or subrequest.method
    )
    uri = headers.get("X-Original-URI") or headers.get("X-Forwarded-Uri") or subrequest.full_path
    return method, uri
