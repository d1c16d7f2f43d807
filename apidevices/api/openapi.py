"""The OpenAPI 3.1 document, built from the descriptions of views; needs ``apidevices[openapi]``.

It covers every described view of the application that serves it.
"""

import re
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from itertools import chain
from typing import Any
from weakref import WeakKeyDictionary

from flask import Flask, current_app, request
from flask.globals import app_ctx
from flask.typing import ResponseReturnValue
from openapi_pydantic import OpenAPI
from openapi_pydantic.util import PydanticSchema, construct_open_api_with_schema_class
from pydantic import BaseModel, Field

from apidevices import state
from apidevices.api.description import Operation, operation_of
from apidevices.api.reference import Reference
from apidevices.fields import MAX_JSON_INTEGER
from apidevices.problems import CODES
from apidevices.rendering import render

_VARIABLE = re.compile(r"<(?:\w+:)?(\w+)>")
_ROW_ID = {"type": "integer", "format": "int64", "minimum": 0, "maximum": MAX_JSON_INTEGER}
_PATH_PARAMETERS = {
    "device_id": "The `id` of the device, a number. Not its identifier.",
    "mark_id": "The `id` of the mark, a number.",
}
_SERVER_ERRORS = {414: "The URL is too long.", 431: "The headers are too large."}
_RESPONSE_HEADERS: Mapping[str | int, Mapping[str, str]] = {
    # Keys: the name of a response model, or a status.
    "DevicePage": {"Link": 'URL of the next page, with rel="next".'},
    "SuggestionPage": {"Link": 'URL of the next page, with rel="next".'},
    "HistoryPage": {"Link": 'URL of the next page, with rel="next".'},
    "DeviceJson": {"ETag": "Changes when an administrator changes the device."},
    401: {"WWW-Authenticate": "The Bearer challenge, with an error code if a token was sent."},
    429: {"Retry-After": "Seconds to wait before a retry."},
    503: {"Retry-After": "Seconds to wait before a retry."},
}

_documents: WeakKeyDictionary[Flask, dict[str, Any]] = WeakKeyDictionary()


class ProblemJson(BaseModel):
    """An error (RFC 9457). Identify errors by `code`."""

    type: str = Field(description="A URN with the code.")
    title: str = Field(description="The kind of error, in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What is wrong, and what to do about it.")
    code: str = Field(
        description="The kind of error. It is stable.",
        json_schema_extra={"enum": [*sorted({*chain.from_iterable(CODES.values())})]},
    )


def document() -> ResponseReturnValue:
    """Return the OpenAPI document as JSON."""
    return _document()


def docs() -> ResponseReturnValue:
    """Show the OpenAPI document as a page."""
    has_admin = "apidevices" in current_app.blueprints
    return render(
        "api_docs.html",
        reference=Reference(_document()),
        has_admin=has_admin,
        has_tokens=has_admin and state.current().uses_tokens,
    )


def _document() -> dict[str, Any]:
    app = app_ctx.app
    if app not in _documents:
        _documents[app] = _describe(app)
    return _documents[app] | {"servers": [{"url": request.url_root.rstrip("/")}]}


def _describe(app: Flask) -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    tags: dict[str, str] = {}
    for path, method, name, text, operation in sorted(_operations(app), key=_order):
        summary, _, rest = text.partition(". ")
        described = {
            "operationId": name,
            "summary": summary.removesuffix("."),
            "description": " ".join(filter(None, [rest, _scope(operation)])),
            "tags": [operation.tag.name],
            "parameters": [*_path_parameters(path), *_parameters(operation)],
            "responses": _responses(operation),
        }
        if operation.body:
            described["requestBody"] = {
                "required": operation.body_required,
                "content": _content(operation.body),
            }
        paths.setdefault(path, {})[method] = described
        tags[operation.tag.name] = operation.tag.description
    description = OpenAPI.model_validate(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "API Devices",
                "version": version("apidevices"),
                "description": "See which devices call the API, and block individual ones.",
                "license": {"name": "MIT", "identifier": "MIT"},
            },
            "paths": paths,
            "components": {
                "securitySchemes": {
                    "token": {
                        "type": "http",
                        "scheme": "bearer",
                        "description": "A token from Settings > API Tokens.",
                    }
                }
            },
            "security": [{"token": []}],
            "tags": [{"name": name, "description": text} for name, text in sorted(tags.items())],
        }
    )
    resolved = construct_open_api_with_schema_class(description)
    return resolved.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)


def _operations(app: Flask) -> Iterator[tuple[str, str, str, str, Operation]]:
    """Yield path, method, name, text and description of each described view."""
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        if operation := operation_of(view):
            path = _VARIABLE.sub(r"{\1}", rule.rule)
            text = (view.__doc__ or "").partition("\n")[0]
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                yield path, method.lower(), view.__name__, text, operation


def _order(described: tuple[str, str, str, str, Operation]) -> tuple[str, str]:
    """Sort a device's own paths before those of several devices."""
    path, method, *_ = described
    return path.replace("{", " "), method


def _scope(operation: Operation) -> str:
    if operation.scope:
        return f"Needs a token with the scope `{operation.scope}`."
    return "Needs a token. It needs no scope."


def _path_parameters(path: str) -> Iterator[dict[str, Any]]:
    for name in re.findall(r"{(\w+)}", path):
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PATH_PARAMETERS[name],
            "schema": _ROW_ID,
        }


def _parameters(operation: Operation) -> Iterator[dict[str, Any]]:
    for place, model in (("query", operation.query), ("header", operation.headers)):
        if model is None:
            continue
        schema = model.model_json_schema()
        for name, values in schema["properties"].items():
            described = _without_null(values)
            yield {
                "name": name,
                "in": place,
                "required": name in schema.get("required", ()),
                "description": described.pop("description", None),
                "schema": described,
            }


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an optional field for a parameter, which can be left out, not null."""
    options = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    if len(options) != 1:
        return dict(schema)
    hidden = ("anyOf", "default")
    return {**options[0], **{key: value for key, value in schema.items() if key not in hidden}}


def _responses(operation: Operation) -> dict[str, Any]:
    responses: dict[str, Any] = {str(operation.status): _success(operation.response)}
    for status in operation.errors:
        responses[str(status)] = {
            "description": ", ".join(CODES[status]),
            "headers": _headers(status),
            "content": _content(ProblemJson, "application/problem+json"),
        }
    for status, meaning in _SERVER_ERRORS.items():
        responses[str(status)] = {"description": f"{meaning} The response is HTML."}
    return responses


def _success(response: type[BaseModel] | None) -> dict[str, Any]:
    if response is None:
        return {"description": "Done. The response has no body."}
    return {
        "description": (response.__doc__ or "").partition("\n")[0],
        "headers": _headers(response.__name__),
        "content": _content(response),
    }


def _headers(key: str | int) -> dict[str, Any] | None:
    headers = {
        name: {"description": meaning, "schema": {"type": "string"}}
        for name, meaning in _RESPONSE_HEADERS.get(key, {}).items()
    }
    return headers or None


def _content(model: type[BaseModel], kind: str = "application/json") -> dict[str, Any]:
    return {kind: {"schema": PydanticSchema.model_validate({"schema_class": model})}}
