"""The page that shows the OpenAPI document, and the texts in the document."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from apidevices import APIDevices
from tests.conftest import DEVICE, StartServer, as_device, state_of
from tests.pages.markup import Node
from tests.programs import require

pytestmark = pytest.mark.database("sqlite")

DOCUMENT = "/api/openapi.json"
PAGE = "/api/docs"


@pytest.fixture
def document(client: FlaskClient) -> dict[str, Any]:
    content: dict[str, Any] = client.get(DOCUMENT).get_json()
    return content


@pytest.fixture
def page(client: FlaskClient) -> Node:
    response = client.get(PAGE)
    assert response.status_code == 200
    return Node.parse(response.text)


def undescribed(document: dict[str, Any]) -> Iterator[str]:
    """Yield what has no description."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if not (operation["summary"] and operation["description"]):
                yield f"{method} {path}"
            for parameter in operation["parameters"]:
                if not parameter.get("description"):
                    yield f"{method} {path} {parameter['name']}"
    for name, schema in document["components"]["schemas"].items():
        for key, value in schema.get("properties", {}).items():
            if not value.get("description"):
                yield f"{name}.{key}"


def test_every_operation_parameter_and_property_is_described(document: dict[str, Any]) -> None:
    assert list(undescribed(document)) == []


def test_page_has_every_operation_and_schema(document: dict[str, Any], page: Node) -> None:
    ids = {section.attributes.get("id") for section in page.all("section")}
    for methods in document["paths"].values():
        for operation in methods.values():
            assert operation["operationId"] in ids
    for name in document["components"]["schemas"]:
        assert f"schema-{name}" in ids


def test_links_within_the_page_have_targets(page: Node) -> None:
    ids = {node.attributes["id"] for node in page.all() if "id" in node.attributes}
    for link in page.all("a"):
        if link["href"].startswith("#"):
            assert link["href"][1:] in ids


def test_curl_commands_of_the_page_succeed(make_server: StartServer) -> None:
    bash = require("bash")
    require("curl")
    with make_server() as server:
        token = server.create_token("curl", "devices:read", "devices:write")
        for model in ("A", "B", "A"):  # leaves a mark
            server.call("GET", DEVICE, as_device(token, "phone-1", model=model))
        server.call("GET", DEVICE, as_device(token, "phone-2"))
        page = Node.parse(server.call("GET", PAGE).body.decode())
        commands = [pre.exact_text for pre in page.all("pre")]
        # The alias of a blocked device can't be removed. Commands that delete a device come last.
        commands.sort(key=lambda text: ("DELETE" in text or "/delete" in text, "/unalias" in text))
        for command in commands:
            done = subprocess.run(
                [bash, "-c", f"{command} --silent --output /dev/null --write-out '%{{http_code}}'"],
                env=os.environ | {"TOKEN": token},
                capture_output=True,
                text=True,
            )
            assert done.stdout in ("200", "201", "204"), (command, done.stdout, done.stderr)


def test_page_exists_in_a_host_without_admin_pages(tmp_path: Path) -> None:
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "secret"
    devices = APIDevices(db=f"sqlite:///{tmp_path}/host.sqlite3", authorize=lambda: True)
    devices.init_app(app)
    app.register_blueprint(devices.api, url_prefix="/manage")
    response = app.test_client().get("/manage/docs")
    state_of(app).close()
    assert response.status_code == 200
    assert "/manage/v1/devices" in response.text
