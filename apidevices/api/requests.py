"""Parse query strings and JSON bodies into pydantic models."""

import json
from contextlib import suppress
from typing import Any, TypeVar, get_origin

from flask import request
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import (
    BadRequest,
    HTTPException,
    RequestEntityTooLarge,
    UnsupportedMediaType,
)

from apidevices.errors import InvalidInput, describe_validation

MAX_BODY = 1024 * 1024
"""The maximum size of a request body, in bytes."""

_MESSAGES = {
    "string_pattern_mismatch": "must not contain a comma",  # the cursor has its own message
    "too_short": "must not be empty",
    "too_long": "must have at most {max_length:,} entries",
}

M = TypeVar("M", bound=BaseModel)


def parse_query(model: type[M]) -> M:
    """Return the query string as a model.

    Raises:
        InvalidInput: The values do not match the model.
    """
    values = {
        name: given if _is_list(model, name) else given[0] for name, given in request.args.lists()
    }
    return _validate(model, values, unknown="unknown parameter")


def _is_list(model: type[BaseModel], name: str) -> bool:
    """Return whether a parameter can be repeated."""
    field = model.model_fields.get(name)
    return field is not None and get_origin(field.annotation) is tuple


def parse_body(model: type[M], *, optional: bool = False) -> M:
    """Return the JSON body as a model; with ``optional``, an empty body counts as ``{}``.

    Raises:
        BadRequest: The body is not JSON.
        UnsupportedMediaType: The content type is not JSON.
        RequestEntityTooLarge: The body has more than ``MAX_BODY`` bytes.
        InvalidInput: The values do not match the model.
    """
    body = read_body()
    if optional and not body:
        return _validate(model, {})
    if not request.is_json:
        raise UnsupportedMediaType("Send the body as 'Content-Type: application/json'.")
    try:
        values: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequest("The request body is not valid JSON.") from None
    return _validate(model, values)


def read_body() -> bytes:
    """Return the body of the request.

    Raises:
        RequestEntityTooLarge: The body has more than ``MAX_BODY`` bytes.
        BadRequest: The body is incomplete or malformed. Some servers leave this check to the view.
    """
    # One byte more than allowed, because Werkzeug silently truncates a body without Content-Length.
    # Flask 3.0 has no limit per request, only one for the whole application.
    with suppress(AttributeError):
        request.max_content_length = MAX_BODY + 1
    limit = min(MAX_BODY, request.max_content_length or MAX_BODY)
    try:
        body = request.get_data()
    except RequestEntityTooLarge:
        raise _too_large(limit) from None
    except HTTPException:
        raise
    except Exception:  # each server has its own exceptions for malformed chunks
        raise BadRequest("The request body is malformed.") from None
    if len(body) > MAX_BODY:
        raise _too_large(limit)
    if len(body) < (request.content_length or 0):
        raise BadRequest("The request body is shorter than its Content-Length.")
    return body


def _too_large(limit: int) -> RequestEntityTooLarge:
    return RequestEntityTooLarge(f"The request body can have at most {limit:,} bytes.")


def _validate(model: type[M], values: object, *, unknown: str = "unknown field") -> M:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field, *rest = first["loc"] or ("body",)
        message = describe_validation(first, {**_MESSAGES, "extra_forbidden": unknown})
        if field == "cursor" and first["type"] != "extra_forbidden":
            message = "invalid. Follow the URL in 'next'"
        parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in rest]
        name = f"{field}{''.join(parts)}"
        raise InvalidInput(str(field), f"{name}: {message}.") from None
