"""The admin pages in the host application's layout."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from jinja2 import ChoiceLoader, DictLoader
from markupsafe import Markup

from apidevices import Account, APIDevices, ConfigError, Link, Panel
from examples.themed_host.app import create_app
from tests.conftest import state_of
from tests.host.conftest import ADMIN, Close
from tests.pages.visitor import Page, Visitor

BARE = "<title>{% block title %}{% endblock %}</title>{% block content %}{% endblock %}"

MakeHost = Callable[..., Flask]


@pytest.fixture
def make_host(url: str) -> Iterator[MakeHost]:
    apps: list[Flask] = []

    def make(layout: str | None = None, **names: str) -> Flask:
        app = create_app(url)
        apps.append(app)
        app.context_processor(lambda: names)
        if layout is not None:
            host = app.jinja_loader
            assert host is not None
            app.jinja_env.loader = ChoiceLoader([DictLoader({"layout.html": layout}), host])
        app.test_client().get("/api/seats", headers={"X-Device-ID": "till-1"})
        return app

    yield make
    for app in apps:
        state_of(app).close()


@pytest.fixture
def visitor(make_host: MakeHost) -> Visitor:
    """A user of the cinema application, which has one device."""
    return Visitor(make_host().test_client())


# --- the layout --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("", "Devices"),
        ("/1", "till-1"),
        ("/1/history", "History of till-1"),
    ],
)
def test_admin_pages_extend_the_layout_of_the_host(visitor: Visitor, path: str, title: str) -> None:
    page = visitor.get(f"{ADMIN}{path}")
    assert page.root.one("title").text == f"{title} · API Devices · Lumière"
    assert page.root.one("header", class_="bar").one("a", class_="brand").text == "Lumière"
    assert "till-1" in page.root.one("main").text
    assert len(page.root.all("html")) == len(page.root.all("body")) == 1


def test_stylesheets_follow_those_of_the_host(visitor: Visitor) -> None:
    links = visitor.get(ADMIN).root.one("head").all("link", rel="stylesheet")
    files = [link["href"].partition("?")[0].rpartition("/")[2] for link in links]
    assert files == ["cinema.css", "app.css", "theme.css", "list.css"]


def test_layout_without_head_block_still_gets_styles_and_scripts(
    make_host: MakeHost,
) -> None:
    page = Visitor(make_host(BARE).test_client()).get(ADMIN)
    files = [node.get("href") or node.get("src") or "" for node in page.root.all()]
    names = [file.partition("?")[0].rpartition("/")[2] for file in files]
    assert [name for name in names if name.endswith((".css", ".js"))] == [
        "app.css",
        "theme.css",
        "app.js",
        "times.js",
        "dialogs.js",
        "operations.js",
        "list.css",
        "list.js",
        "updates.js",
    ]


def test_layout_without_content_block_raises_config_error(make_host: MakeHost) -> None:
    app = make_host("<title>{% block title %}{% endblock %}</title>")
    app.testing = True
    with pytest.raises(ConfigError, match=r"layout\.html has no block named “content”"):
        app.test_client().get(ADMIN)


def test_context_processors_of_the_host_affect_only_its_layout(make_host: MakeHost) -> None:
    layout = "{{ device }}{% block content %}{% endblock %}"
    app = make_host(layout, device="the host's", panels="the host's")
    html = app.test_client().get(f"{ADMIN}/1").text
    assert html.startswith("the host&#39;s")
    assert html.count("the host") == 1


def test_titles_are_escaped_once(make_host: MakeHost) -> None:
    visitor = Visitor(make_host().test_client())
    visitor.change(f"{ADMIN}/1", "/name", name="<b>Till & door")
    page = visitor.get(f"{ADMIN}/1")
    assert page.root.one("title").text == "<b>Till & door · API Devices · Lumière"


# --- headers -----------------------------------------------------------------------------------


def test_content_security_policy_is_left_to_the_host(visitor: Visitor) -> None:
    headers = visitor.get(ADMIN).headers
    for name in ("Content-Security-Policy", "X-Frame-Options", "Cross-Origin-Opener-Policy"):
        assert name not in headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"


# --- changes -----------------------------------------------------------------------------------


def test_htmx_gets_fragments_without_the_layout(visitor: Visitor) -> None:
    response = visitor.change(f"{ADMIN}/1", "/block", htmx=True)
    assert "“till-1” is blocked." in response.announced
    assert response.root.all("title") == []  # HTMX would replace the host's title
    assert "Lumière" not in response.text


def test_block_dialog_mentions_credentials_in_a_host_without_tokens(visitor: Visitor) -> None:
    dialog = visitor.get(f"{ADMIN}/1/block", htmx=True).text
    assert "Its credentials stay valid, so other devices that share them keep working." in dialog
    assert "token" not in dialog


def test_merge_dialog_mentions_no_tokens_in_a_host_without_tokens(make_host: MakeHost) -> None:
    client = make_host().test_client()
    client.get("/api/seats", headers={"X-Device-ID": "till-2"})
    dialog = Visitor(client).get(f"{ADMIN}/1/merge?from=2", htmx=True).text
    assert "gets the history, tags and note of both" in dialog
    assert "token" not in dialog


def test_forms_work_without_htmx(visitor: Visitor) -> None:
    page = visitor.follow(visitor.change(f"{ADMIN}/1", "/block"))
    assert "“till-1” is blocked." in page.announced


def test_host_and_extension_show_their_own_flash_messages_once(visitor: Visitor) -> None:
    done = visitor.change(f"{ADMIN}/1", "/block")
    closed = visitor.client.post("/close")
    assert closed.location == ADMIN
    page = visitor.follow(done)
    assert [node.text for node in page.root.all("p", class_="flash")] == ["The cinema is closed."]
    assert page.html.count("Its requests are denied") == 1
    assert page.announced.startswith("“till-1” is blocked.")


# --- navigation, account and panels ------------------------------------------------------------


def test_only_the_api_devices_link_is_marked_as_current(visitor: Visitor) -> None:
    nav = visitor.get(f"{ADMIN}/1").root.one("nav", aria_label="API Devices")
    links = [(link.text, link["href"], link.get("aria-current")) for link in nav.all("a")]
    assert links == [
        ("API Devices", ADMIN, "true"),
        ("Overview", f"{ADMIN}/overview", None),
        ("Audit log", "/settings/audit-log", None),
        ("Storage", f"{ADMIN}/storage", None),
        ("Opening hours", "/", None),
    ]


def test_audit_log_is_in_the_layout_of_the_host(visitor: Visitor) -> None:
    visitor.change(f"{ADMIN}/1", "/block")
    page = visitor.get("/settings/audit-log?device=1")
    assert "blocked till-1" in page.root.one(id="log").text
    assert page.root.one("main").all("nav", aria_label="API Devices")


def test_overview_is_in_the_layout_of_the_host(visitor: Visitor) -> None:
    page = visitor.get(f"{ADMIN}/overview")
    assert page.root.one(id="overview").one("dl").all("dd")[0].text == "1"
    current = (
        page.root.one("main").one("nav", aria_label="API Devices").all("a", aria_current="page")
    )
    assert [link.text for link in current] == ["Overview"]


def test_panel_is_a_section_of_the_details_page(visitor: Visitor) -> None:
    sections = visitor.get(f"{ADMIN}/1").root.one("article").all("section")
    [panel] = [section for section in sections if section.one("h2").text == "Seats sold"]
    assert "till-1 has sold 42 seats today." in panel.text


@pytest.fixture
def make_page(url: str, closing: Close) -> Callable[..., Page]:
    """Creates a host with these options and returns a details page in the extension's frame."""

    def make(**slots: Any) -> Page:
        app = Flask(__name__)
        app.config["SECRET_KEY"] = "s" * 32
        extension = APIDevices(db=url, authorize=lambda: True, **slots)
        extension.init_app(closing(app))
        extension.protect("/api")
        app.add_url_rule("/api/ping", view_func=dict)
        app.register_blueprint(extension.admin, url_prefix="/settings")
        with app.app_context():
            extension.upgrade()
        app.test_client().get("/api/ping", headers={"X-Device-ID": "till-1"})
        return Visitor(app.test_client()).get(f"{ADMIN}/1")

    return make


def test_frame_shows_account_with_sign_out_button(make_page: Callable[..., Page]) -> None:
    page = make_page(account=lambda: Account("Ann & co", "/bye"))
    assert page.root.one("span", class_="muted account-name").text == "Ann & co"
    assert page.form("/bye").one("button").text == "Sign out"


def test_account_without_url_has_no_sign_out_button(make_page: Callable[..., Page]) -> None:
    page = make_page(account=lambda: Account("Ann"))
    assert "Ann" in page.root.one("header", class_="bar").text
    assert "Sign out" not in page.text


def test_frame_shows_no_account_by_default(make_page: Callable[..., Page]) -> None:
    assert make_page().root.one("header", class_="bar").text == "API Devices"


def test_frame_shows_links_of_the_host(make_page: Callable[..., Page]) -> None:
    nav = make_page(navigation=lambda: [Link("Orders", "/orders")]).root.one("nav")
    assert [link.text for link in nav.all("a")] == [
        "API Devices",
        "Overview",
        "Audit log",
        "Storage",
        "Orders",
    ]


def test_panels_are_escaped_unless_they_are_markup(make_page: Callable[..., Page]) -> None:
    panels = [Panel("Text", "<i>1</i>"), Panel("HTML", Markup("<i>2</i>"))]
    page = make_page(device_panels=lambda _device: panels)
    assert [node.text for node in page.root.all("i")] == ["2"]
    assert "<i>1</i>" in page.text


def test_saved_view_appears_in_the_layout_of_the_host(visitor: Visitor) -> None:
    listed = visitor.follow(visitor.change(f"{ADMIN}/views?name=till", "/views", name="Tills"))
    [link] = [link for link in listed.root.all("a") if link.text == "Tills"]
    assert (link["href"], link["aria-current"]) == (f"{ADMIN}?name=till", "page")
