"""The Nu Html Checker finds nothing in any page but the attributes of HTMX."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask, url_for

from apidevices import devices
from apidevices.standalone.accounts import setup_path
from tests.command_line import Cli
from tests.conftest import NOON, Register, state_of
from tests.pages.conftest import ANN
from tests.pages.visitor import Page, Visitor
from tests.programs import install_npm_packages, require

pytestmark = pytest.mark.database("sqlite")

LIST = "/settings/api-devices"
TOKENS = "/settings/api-tokens"
ACCOUNT = "/settings/account"

IGNORED = re.compile("Attribute “hx-[^”]+” not allowed")


@pytest.fixture(scope="module")
def checker(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command of the checker."""
    java = require("java")
    folder = tmp_path_factory.mktemp("nu")
    packages = install_npm_packages(Path(__file__).with_name("package.json"), folder)
    jar = packages / "vnu-jar" / "build" / "dist" / "vnu.jar"
    return [java, "-jar", str(jar), "--format", "json", "--stdout", "--exit-zero-always"]


@pytest.fixture
def blocked(app: Flask, register: Register) -> int:
    """The id of a blocked device with lookalike characters, a history and denied requests."""
    db = state_of(app).db
    device_id = register("ph\u043ene-2", application="Box Office", application_version="1")
    register("ph\u043ene-2", application="Box Office", application_version="2")
    devices.block(db, device_id, reason="Lost", actor="ann", now=NOON)
    activity = state_of(app).activity
    activity.record_request(device_id, None, NOON, upload=True)
    activity.record_denial(device_id, NOON)
    activity.flush(counts=True)
    return device_id


def pages(
    app: Flask, admin: Visitor, anonymous: Visitor, new: Visitor, device_id: int
) -> Iterator[tuple[str, Page]]:
    """Yield pages with names."""
    yield "login", anonymous.get("/login")
    yield "login-error", anonymous.change("/login", "/login", email=ANN, password="x")
    yield "no-account", new.get("/login")
    yield "setup", new.get(setup_path(new.client.application))
    link = Cli(app).succeed("reset-password", ANN).strip()
    yield "reset", anonymous.get(urlsplit(link).path)
    yield "reference", anonymous.get("/api/docs")
    yield "not-found", admin.get("/nowhere")
    yield "account", admin.get(ACCOUNT)
    yield "account-error", admin.change(ACCOUNT, ACCOUNT, password="x")
    yield "tokens", admin.get(TOKENS)
    yield "token-error", admin.change(f"{TOKENS}/new", TOKENS, name="")
    yield "new-token", admin.follow(admin.change(f"{TOKENS}/new", TOKENS, name="Scanners"))
    yield "no-matches", admin.get(f"{LIST}?name=nothing")
    view = admin.change(f"{LIST}/views?name=nothing", "/views", name="Missing")
    yield "saved-view", admin.follow(view)
    yield "delete-view", admin.get(f"{LIST}/views/1/delete")
    yield "blocked-devices", admin.get(f"{LIST}?status=blocked")
    device = f"{LIST}/{device_id}"
    yield "rename-error", admin.change(device, "/name", name="x" * 256)
    for action in ("block", "unblock", "tag", "untag", "delete"):
        yield f"bulk-{action}", admin.get(f"{LIST}/bulk?action={action}&id={device_id}")
    tagging = admin.get(f"{LIST}/bulk?action=tag&id={device_id}")
    yield "undo", admin.follow(admin.submit(tagging, "/bulk", tag="Gate A"))
    yield "operation", admin.get(f"{LIST}/operations/1")
    for rule in app.url_map.iter_rules():
        is_page = rule.endpoint.startswith("apidevices.") and "GET" in (rule.methods or ())
        if rule.endpoint == "apidevices.device_updates":  # rows for the list, not a page
            continue
        if is_page and rule.arguments <= {"device_id"}:
            with app.test_request_context():
                arguments: dict[str, Any] = dict.fromkeys(rule.arguments, device_id)
                path = url_for(rule.endpoint, **arguments)
            page = admin.get(path)
            if page.is_full_page and page.status == 200:
                yield rule.endpoint, page


def test_html_of_every_page_is_valid(
    app: Flask,
    admin: Visitor,
    anonymous: Visitor,
    visitor_without_accounts: Visitor,
    blocked: int,
    checker: list[str],
    tmp_path: Path,
) -> None:
    folder = tmp_path / "pages"
    folder.mkdir()
    for name, page in pages(app, admin, anonymous, visitor_without_accounts, blocked):
        assert page.is_full_page, name
        (folder / f"{name}.html").write_text(page.html)
    done = subprocess.run([*checker, str(folder)], capture_output=True, text=True, timeout=120)
    found = [
        f"{Path(message['url']).stem}: {message['message']} {message.get('extract', '')!r}"
        for message in json.loads(done.stdout)["messages"]
        if not IGNORED.match(message["message"])
    ]
    assert found == []
