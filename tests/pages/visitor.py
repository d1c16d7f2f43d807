"""A test client that opens pages and submits their forms, with or without HTMX."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from flask.testing import FlaskClient
from werkzeug.datastructures import Headers
from werkzeug.test import TestResponse

from tests.pages.markup import Node

HTMX = {"HX-Request": "true"}


@dataclass(frozen=True)
class Page:
    """A parsed response."""

    path: str
    status: int
    headers: Headers
    html: str
    root: Node

    @property
    def text(self) -> str:
        return self.root.text

    @property
    def is_full_page(self) -> bool:
        """Whether this is a full page, not a fragment."""
        return bool(self.root.all("main"))

    @property
    def location(self) -> str:
        """The redirect target, without scheme and host."""
        target = urlsplit(self.headers["Location"])
        return target._replace(scheme="", netloc="").geturl()

    @property
    def announced(self) -> str:
        """The text of the status line."""
        if self.is_full_page:
            line = self.root.one(id="apidevices-status", role="status")
        else:
            line = self.root.one("hx-partial", hx_target="#apidevices-status")
        return " ".join(message.text for message in line.all("p"))

    def form(self, action: str) -> Node:
        """Return the only POST form whose action path ends with ``action``."""
        found = self._forms(action)
        assert len(found) == 1, f"{len(found)} forms post to {action}"
        return found[0]

    def has_form(self, action: str) -> bool:
        """Return whether a POST form has an action path that ends with ``action``."""
        return bool(self._forms(action))

    def _forms(self, action: str) -> list[Node]:
        return [
            form
            for form in self.root.all("form", method="post")
            if urlsplit(form.get("action") or self.path).path.endswith(action)
        ]


class Visitor:
    """A test client. It checks each response against the rules for all pages."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client

    def get(self, path: str, *, htmx: bool = False, **headers: str) -> Page:
        """Request a page. Write ``_`` for ``-`` in the name of a header."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {**(HTMX if htmx else {}), **named}
        return self._read(self.client.get(path, headers=sent, buffered=True))

    def post(self, path: str, *, htmx: bool = False, at: str = "/", **typed: str) -> Page:
        """Post exactly these fields, without a CSRF token, from the page ``at``."""
        return self._post(path, typed, htmx=htmx, at=at)

    def _post(self, path: str, values: Mapping[str, Any], *, htmx: bool, at: str) -> Page:
        headers = {"Referer": f"http://localhost{at}"}
        headers |= {**HTMX, "HX-Current-URL": headers["Referer"]} if htmx else {}
        return self._read(self.client.post(path, data=values, headers=headers, buffered=True))

    def open_form(self, page: Page, action: str, *, htmx: bool = False) -> Page:
        """Return what has the form that posts to ``action``: the page, or what it links to."""
        if page.has_form(action):
            return page
        links = [link["href"] for link in page.root.all("a") if link.get("href")]
        [url] = [link for link in links if urlsplit(link).path.endswith(action)]
        return self.get(url, htmx=htmx)

    def submit(self, page: Page, action: str, *, htmx: bool = False, **typed: str) -> Page:
        """Fill in a form that a page has or links to, and submit it."""
        source = self.open_form(page, action, htmx=htmx)
        form = source.form(action)
        values: dict[str, list[str]] = {}
        for field in form.all("input"):
            is_option = field.get("type") in ("checkbox", "radio")
            is_sent = not is_option or field.get("checked") is not None
            if field.get("name") and is_sent:
                values.setdefault(field["name"], []).append(field.get("value") or "")
        values |= {area["name"]: [area.exact_text] for area in form.all("textarea")}
        fields = [*form.all("input"), *form.all("textarea")]
        assert typed.keys() <= {field.get("name") for field in fields}, typed
        url = (form.get("hx-post") if htmx else None) or form.get("action") or source.path
        return self._post(url, {**values, **typed}, htmx=htmx, at=page.path)

    def change(self, path: str, action: str, *, htmx: bool = False, **typed: str) -> Page:
        """Open a page, fill in a form that it has or links to, and submit it."""
        return self.submit(self.get(path), action, htmx=htmx, **typed)

    def follow(self, response: Page) -> Page:
        """Follow the redirect after a form submission."""
        assert response.status == 303, response.text
        return self.get(response.location)

    def _read(self, response: TestResponse) -> Page:
        redirects = 300 <= response.status_code < 400
        html = response.text if response.mimetype == "text/html" and not redirects else ""
        page = Page(
            response.request.full_path.rstrip("?"),
            response.status_code,
            response.headers,
            html,
            Node.parse(html),
        )
        check(page)
        return page


def check(page: Page) -> None:
    """Check the rules that every page and fragment must follow."""
    ids = Counter(node["id"] for node in page.root.all() if node.get("id"))
    assert [name for name, count in ids.items() if count > 1] == [], "duplicate ids"
    assert len(page.root.all(autofocus="")) <= 1
    for form in page.root.all("form", method="post"):
        assert form.one("input", name="csrf_token")["value"]
    for node in page.root.all():
        assert node.get("style") is None
        assert not any(name.startswith("on") for name in node.attributes), node.attributes
    for field in page.root.all("input", aria_invalid="true"):
        descriptions = [page.root.one(id=name) for name in field["aria-describedby"].split()]
        assert any(
            node.get("class") == "error" or node.all(class_="error") for node in descriptions
        ), "the field is invalid but has no error message"
    for script in page.root.all("script"):
        assert script["src"].startswith("/")
        assert script.text == ""
    if page.is_full_page:
        for attribute in ("aria-labelledby", "aria-describedby", "for", "data-inline"):
            values = [node[attribute] for node in page.root.all() if node.get(attribute)]
            referenced = {name for names in values for name in names.split()}
            assert referenced <= ids.keys(), f"{attribute} refers to a missing id"
