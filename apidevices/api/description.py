"""Descriptions of API views, from which the OpenAPI document is built."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel

View = TypeVar("View", bound=Callable[..., Any])

ALWAYS = (401, 403, 429, 500, 503)
"""Error statuses of every operation."""

WITH_BODY = (400, 413, 415, 422)
"""Error statuses of an operation that reads a JSON body."""

_OPERATION = "_apidevices_operation"


@dataclass(frozen=True, slots=True)
class Tag:
    """A group of operations in the document."""

    name: str
    description: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: its response, errors and request, as pydantic models and status codes."""

    response: type[BaseModel] | None
    status: int
    errors: tuple[int, ...]
    tag: Tag
    scope: str | None
    query: type[BaseModel] | None
    headers: type[BaseModel] | None
    body: type[BaseModel] | None
    body_required: bool


def described(
    response: type[BaseModel] | None,
    *errors: int,
    tag: Tag,
    scope: str | None = None,
    status: int = 200,
    query: type[BaseModel] | None = None,
    headers: type[BaseModel] | None = None,
    body: type[BaseModel] | None = None,
    body_required: bool = True,
) -> Callable[[View], View]:
    """Attach the description of an operation to its view. Does not validate requests.

    Without ``response``, the response has no body.
    """
    operation = Operation(
        response,
        status,
        tuple(sorted({*ALWAYS, *errors})),
        tag,
        scope,
        query,
        headers,
        body,
        body_required,
    )

    def decorate(view: View) -> View:
        setattr(view, _OPERATION, operation)
        return view

    return decorate


def operation_of(view: Callable[..., Any]) -> Operation | None:
    """Return the description attached to a view, if any."""
    return getattr(view, _OPERATION, None)
