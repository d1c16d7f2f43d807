"""The OpenAPI document, arranged for the page that shows it to people."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apidevices.fields import MAX_JSON_INTEGER

_PLACES = {"path": "Path parameters", "query": "Query parameters", "header": "Headers"}
_SCHEMA = "#/components/schemas/"

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """A part of the name of a type. ``schema`` is the name of the schema to link, if any."""

    text: str
    schema: str | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter, header or property. The text ends with its constraints."""

    name: str
    kinds: Sequence[Kind]
    required: bool
    text: str


@dataclass(frozen=True, slots=True)
class Schema:
    """An object, or a value of another type, which has no fields."""

    name: str
    kinds: Sequence[Kind]
    description: str
    choice: str
    fields: Sequence[Field]


@dataclass(frozen=True, slots=True)
class Response:
    """A response by its status."""

    status: str
    description: str
    schema: str | None
    headers: Sequence[Field]


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation, with its parameters by their place, and an example."""

    id: str
    method: str
    path: str
    summary: str
    description: str
    parameters: Mapping[str, Sequence[Field]]
    body: Schema | None
    body_required: bool
    responses: Sequence[Response]
    errors: Sequence[Response]
    curl: str


@dataclass(frozen=True, slots=True)
class Group:
    """The operations with the same tag."""

    name: str
    description: str
    operations: Sequence[Operation]


class Reference:
    """What the page shows of an OpenAPI document."""

    def __init__(self, document: Json) -> None:
        self._schemas: Mapping[str, Json] = document["components"]["schemas"]
        self._server: str = document["servers"][0]["url"]
        self.version: str = document["info"]["version"]
        self.description: str = document["info"]["description"]
        operations = [
            (path, method, described)
            for path, methods in document["paths"].items()
            for method, described in methods.items()
        ]
        self.groups = [
            Group(
                tag["name"],
                tag["description"],
                [self._operation(*each) for each in operations if tag["name"] in each[2]["tags"]],
            )
            for tag in document["tags"]
        ]
        self.schemas = [self._schema(name) for name in sorted(self._schemas)]
        errors = {each.status: each for group in self.groups for each in _errors(group)}
        self.errors = [error for _, error in sorted(errors.items())]

    def _operation(self, path: str, method: str, described: Json) -> Operation:
        parameters: dict[str, list[Field]] = {}
        for parameter in described["parameters"]:
            parameters.setdefault(_PLACES[parameter["in"]], []).append(_parameter(parameter))
        responses = [_response(*each) for each in sorted(described["responses"].items())]
        body = described.get("requestBody")
        return Operation(
            id=described["operationId"],
            method=method.upper(),
            path=path,
            summary=described["summary"],
            description=described["description"],
            parameters=parameters,
            body=self._schema(_schema_name(body) or "") if body else None,
            body_required=bool(body and body["required"]),
            responses=[each for each in responses if each.status < "400"],
            errors=[each for each in responses if each.status >= "400"],
            curl=self._curl(path, method.upper(), described),
        )

    def _schema(self, name: str) -> Schema:
        schema = self._schemas[name]
        required = schema.get("required", ())
        return Schema(
            name,
            _kinds(schema),
            schema.get("description", ""),
            _choice(schema),
            [
                Field(key, _kinds(each), key in required, _text(each))
                for key, each in schema.get("properties", {}).items()
            ],
        )

    def _curl(self, path: str, method: str, described: Json) -> str:
        """Return a curl command with everything that the operation requires."""
        options = ['-H "Authorization: Bearer $TOKEN"']
        for parameter in described["parameters"]:
            example = self._example(parameter["schema"])
            if parameter["in"] == "path":
                path = path.replace(f"{{{parameter['name']}}}", str(example))
            elif parameter["in"] == "header" and parameter["required"]:
                options.append(f'-H "{parameter["name"]}: {example}"')
        if body := described.get("requestBody"):
            example = self._example(body["content"]["application/json"]["schema"])
            options.append('-H "Content-Type: application/json"')
            options.append(f"-d {shlex.quote(json.dumps(example, ensure_ascii=False))}")
        verb = "" if method == "GET" else f"-X {method} "
        return " \\\n  ".join([f"curl {verb}{self._server}{path}", *options])

    def _example(self, schema: Json) -> Any:
        """Return a value that fits a schema: its example, or a value of its type."""
        if "examples" in schema:
            return schema["examples"][0]
        if name := _reference(schema):
            return self._example(self._schemas[name])
        if "enum" in schema:
            return schema["enum"][0]
        for option in _options(schema):
            return self._example(option)
        match schema.get("type"):
            case "object":
                return dict(self._example_properties(schema))
            case "array":
                return [self._example(schema["items"])]
            case "integer" | "number":
                return 1
            case "boolean":
                return True
            case "string" if schema.get("format") == "date-time":
                return "2030-01-01T12:00:00Z"
            case _:
                return "text"

    def _example_properties(self, schema: Json) -> Iterator[tuple[str, Any]]:
        first_choice: Json = next(iter(schema.get("oneOf", ())), {})
        required = {*schema.get("required", ()), *first_choice.get("required", ())}
        for name, each in schema.get("properties", {}).items():
            if name in required or "examples" in each:
                yield name, self._example(each)


def _errors(group: Group) -> Iterator[Response]:
    for operation in group.operations:
        yield from operation.errors


def _parameter(parameter: Json) -> Field:
    schema = parameter["schema"]
    return Field(
        parameter["name"],
        _kinds(schema),
        parameter["required"],
        _text(schema, parameter["description"]),
    )


def _response(status: str, response: Json) -> Response:
    headers = [
        Field(name, _kinds(header["schema"]), True, header["description"])
        for name, header in response.get("headers", {}).items()
    ]
    return Response(status, response["description"], _schema_name(response), headers)


def _schema_name(described: Json) -> str | None:
    for content in described.get("content", {}).values():
        return _reference(content["schema"])
    return None


def _reference(schema: Json) -> str | None:
    return schema["$ref"].removeprefix(_SCHEMA) if "$ref" in schema else None


def _options(schema: Json) -> list[Json]:
    """Return the alternatives of a schema, other than null."""
    return [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]


def _kinds(schema: Json) -> list[Kind]:
    if name := _reference(schema):
        return [Kind(name, name)]
    if "anyOf" in schema:
        kinds = [_kinds(each) for each in schema["anyOf"]]
        return [part for each in kinds for part in (Kind(" or "), *each)][1:]
    if schema.get("type") == "array":
        return [Kind("array of "), *_kinds(schema["items"])]
    kind = schema.get("type", "any value")
    return [Kind(schema.get("format", kind) if kind == "string" else kind)]


def _text(schema: Json, description: str = "") -> str:
    """Return the description of a value and its constraints. Code is in backticks."""
    rules = (rule for each in [schema, *_options(schema)] for rule in _rules(each))
    return " ".join(filter(None, [description or schema.get("description", ""), *rules]))


def _rules(schema: Json) -> Iterator[str]:
    if "enum" in schema:
        yield "One of " + ", ".join(f"`{value}`" for value in schema["enum"]) + "."
    if schema.get("default") not in (None, ""):
        yield f"Default: `{schema['default']}`."
    for kind, unit in (("Length", "characters"), ("Items", "items")):
        smallest, largest = schema.get(f"min{kind}"), schema.get(f"max{kind}")
        if largest is not None:
            yield f"{f'{smallest:,}' if smallest else 'Up'} to {largest:,} {unit}."
    if schema.get("maximum", MAX_JSON_INTEGER) < MAX_JSON_INTEGER:
        yield f"{schema.get('minimum', 0):,.0f} to {schema['maximum']:,.0f}."
    if "pattern" in schema:
        yield f"Pattern: `{schema['pattern']}`."


def _choice(schema: Json) -> str:
    """Return which properties go together, if there are alternatives."""
    alternatives = [
        " and ".join(f"`{name}`" for name in each["required"])
        for each in schema.get("oneOf", ())
        if "required" in each
    ]
    return f"Send either {', or '.join(alternatives)}." if alternatives else ""
