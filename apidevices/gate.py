"""``/verify``: forward authentication, for a proxy in front of an API in any language.

The proxy asks before it passes a request on. 200 lets it through, with headers for the API behind;
anything else is the answer to the client, with the same problem bodies as everywhere.
"""

import logging
from urllib.parse import quote

from flask import Blueprint, Request, Response, request
from flask.sansio.blueprints import BlueprintSetupState
from flask.typing import ResponseReturnValue
from werkzeug.routing import BaseConverter, Rule

from apidevices import state
from apidevices.problems import Problem

logger = logging.getLogger(__name__)

_ASCII = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")

blueprint = Blueprint("apidevices_gate", __name__)


class _Address(BaseConverter):
    """Any address, with slashes wherever they are."""

    regex = ".*"
    part_isolating = False


@blueprint.record
def _add_rules(setup: BlueprintSetupState) -> None:
    """Answer whatever is asked: Envoy asks with the request's own method and address.

    That address is behind the one of the gate. Other proxies ask with GET, and say both in headers.
    """
    endpoint = f"{setup.name_prefix}.{setup.name}.verify".lstrip(".")
    setup.app.view_functions[endpoint] = verify
    setup.app.url_map.converters["apidevices_address"] = _Address
    for path in ("/verify", "/verify/<apidevices_address:address>"):
        setup.app.url_map.add(
            Rule(
                f"{setup.url_prefix or ''}{path}",
                endpoint=endpoint,
                strict_slashes=False,
                merge_slashes=False,
            )
        )


def verify(address: str = "") -> ResponseReturnValue:
    """Answer whether a request may pass."""
    try:
        return Response(status=200, headers=_let_through(_original(request)))
    except Problem as problem:
        logger.info("Denied by the gate: %s %s: %s", *_asked(request), problem.problem_code)
        response = problem.get_response()
        # nginx can't hand on the body of this answer, but a header of it.
        response.headers["X-Problem"] = response.get_data(as_text=True).strip()
        return response


def _let_through(original: Request) -> dict[str, str]:
    """Check and record a request; return what the API behind shall know of it, as headers.

    Raises:
        Problem: it may not pass.
    """
    caller = state.current().gate.check_and_record(original)
    # All of them always, as an empty value: of a header that is missing Caddy makes its own name.
    values = {
        "X-Device-Id": caller and caller.identifier,
        "X-Device-Name": caller and (caller.device_name or caller.identifier),
        "X-Token-Name": caller and caller.token_name,
    }
    return {name: quote(value or "", _ASCII) for name, value in values.items()}


def _original(asking: Request) -> Request:
    """Return the request that the proxy asks about: this one, with the method of that."""
    method, _ = _asked(asking)
    return Request({**asking.environ, "REQUEST_METHOD": method})


def _asked(asking: Request) -> tuple[str, str]:
    """Return method and address of the request that the proxy asks about."""
    said = asking.headers
    method = said.get("X-Original-Method") or said.get("X-Forwarded-Method") or asking.method
    address = said.get("X-Original-URI") or said.get("X-Forwarded-Uri") or asking.full_path
    return method, address
