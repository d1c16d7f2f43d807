"""The description of the API, OpenAPI 3.1, made by SpecTree from the types that views use."""

import json as json_format
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import version
from itertools import chain
from typing import Any, TypeVar

from flask import current_app
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field, create_model
from spectree import Response, SecurityScheme, SpecTree
from spectree.models import SecureType, SecuritySchemeData

from apidevices.api.root import blueprint
from apidevices.errors import CODES
from apidevices.identity import DEFAULT_HEADERS
from apidevices.models import MAX_ID
from apidevices.protection import exempt
from apidevices.rendering import render
from apidevices.text import MAX_LENGTH

View = TypeVar("View", bound=Callable[..., Any])

ALWAYS = (401, 403, 500, 503)
"""Whatever is asked may be answered so."""
OF_A_BODY = (400, 413, 415, 422)

_MAY_BE_LEFT_OUT = ("Block",)
_BY_THE_SERVER = {"414": "The address is too long.", "431": "The headers are too large."}
_HEADERS: Mapping[str, Mapping[str, str]] = {
    # What the schema of an answer is called, or its status.
    "DevicePage": {"Link": 'The next page, rel="next".'},
    "HistoryPage": {"Link": 'The next page, rel="next".'},
    "DeviceJson": {"ETag": "Another one once somebody has changed the device."},
    "401": {"WWW-Authenticate": "What is wrong with the token, as RFC 6750 has it."},
    "503": {"Retry-After": "Seconds to wait."},
}


class ProblemJson(BaseModel):
    """An error, RFC 9457; decide by ``code``."""

    type: str
    title: str
    status: int
    detail: str
    code: str = Field(json_schema_extra={"enum": [*sorted({*chain.from_iterable(CODES.values())})]})


def _device_headers() -> type[BaseModel]:
    """Return the headers that identify a device, under the names that they have by default."""
    fields: dict[str, Any] = {
        field: (str, Field(None, alias=names[0], description=f"Its {field}."))
        for field, names in DEFAULT_HEADERS.items()
    }
    fields["identifier"] = (
        str,
        Field(
            alias=DEFAULT_HEADERS["identifier"][0],
            description="Which device calls: printable characters without a comma, in UTF-8.",
            max_length=MAX_LENGTH,
            pattern=r"^[!-+\--~]([ -+\--~]*[!-+\--~])?$",
        ),
    )
    return create_model("DeviceHeaders", **fields)


DEVICE_HEADERS = _device_headers()

spec = SpecTree(
    "flask",
    mode="strict",
    annotations=False,
    path="verify",  # below which it looks for nothing: the gate takes any method, unheard of there
    title="API Devices",
    version=version("apidevices"),
    description="Which devices use the API, and how to shut one out.",
    security_schemes=[
        SecurityScheme(
            name="token",
            data=SecuritySchemeData(
                type=SecureType.HTTP,
                scheme="bearer",
                description="A token from Settings > API Tokens.",
            ),
        )
    ],
    security={"token": []},
    naming_strategy=lambda model: model.__name__,
    nested_naming_strategy=lambda _parent, child: child,
    validation_error_model=ProblemJson,
)


def described(
    answer: type[BaseModel],
    *problems: int,
    status: int = 200,
    tag: str,
    query: type[BaseModel] | None = None,
    headers: type[BaseModel] | None = None,
    json: type[BaseModel] | None = None,
) -> Callable[[View], View]:
    """Describe a view: what it answers, with which problems, and what it is asked.

    Views check what they are asked by themselves, with the same types: their problems are ours.
    """
    answers: dict[str, Any] = {f"HTTP_{status}": answer}
    for code in sorted({*ALWAYS, *problems}):
        answers[f"HTTP_{code}"] = (ProblemJson, ", ".join(CODES[code]))

    def decorate(view: View) -> View:
        decorated: View = spec.validate(
            resp=Response(**answers),
            tags=[tag],
            operation_id=view.__name__,
            skip_validation=True,
            validation_error_status=500,
            query=query,
            headers=headers,
            json=json,
        )(view)
        return decorated

    return decorate


@blueprint.get("/openapi.json")
@exempt
def document() -> ResponseReturnValue:
    """Return the description."""
    return _document()


@blueprint.get("/docs")
@exempt
def docs() -> ResponseReturnValue:
    """Show the description to people."""
    return render("api_docs.html")


@cache
def _document() -> dict[str, Any]:
    spec.app = current_app
    described: dict[str, Any] = spec.spec
    for path in described["paths"].values():
        for operation in path.values():
            _complete(operation)
    text = json_format.dumps(described)
    schemas = described["components"]["schemas"]
    for name in list(schemas):
        if f'"#/components/schemas/{name}"' not in text:
            del schemas[name]  # of parameters, each of which has its own
    return described


def _complete(operation: dict[str, Any]) -> None:
    """Say what SpecTree has no words for."""
    for parameter in operation["parameters"]:
        if parameter["schema"].get("default", "") is None:
            del parameter["schema"]["default"]  # which would be none that it may have
        if parameter["in"] == "path":
            parameter["schema"] |= {"format": "int64", "minimum": 0, "maximum": MAX_ID}
    body = operation.get("requestBody")
    if body and _schema(body) in _MAY_BE_LEFT_OUT:
        body["required"] = False
    for status, answer in operation["responses"].items():
        headers = {**_HEADERS.get(status, {}), **_HEADERS.get(_schema(answer), {})}
        for name, meaning in headers.items():
            answer.setdefault("headers", {})[name] = {
                "description": meaning,
                "schema": {"type": "string"},
            }
        if int(status) >= 400:
            answer["content"] = {"application/problem+json": answer["content"]["application/json"]}
    for status, meaning in _BY_THE_SERVER.items():
        operation["responses"][status] = {"description": f"{meaning} The server says so, in HTML."}


def _schema(content: Mapping[str, Any]) -> str:
    """Return the name of the schema of a body."""
    reference: str = content["content"]["application/json"]["schema"]["$ref"]
    return reference.rpartition("/")[2]
