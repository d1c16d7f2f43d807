"""Somebody who opens pages and sends their forms, with a plain browser or by HTMX."""

from collections import Counter
from dataclasses import dataclass
from urllib.parse import urlsplit

from flask.testing import FlaskClient
from werkzeug.datastructures import Headers
from werkzeug.test import TestResponse

from tests.pages.markup import Node

HTMX = {"HX-Request": "true"}


@dataclass(frozen=True)
class Page:
    """What came back, read."""

    path: str
    status: int
    headers: Headers
    html: str
    root: Node

    @property
    def text(self) -> str:
        return self.root.text

    @property
    def is_whole(self) -> bool:
        """Tell whether it is a page, rather than a fragment of one."""
        return bool(self.root.all("main"))

    @property
    def location(self) -> str:
        """Where the answer leads to, without the host."""
        place = urlsplit(self.headers["Location"])
        return place._replace(scheme="", netloc="").geturl()

    @property
    def announced(self) -> str:
        """What the status line says."""
        if self.is_whole:
            return self.root.one(id="apidevices-status", role="status").text
        return self.root.one("hx-partial", hx_target="#apidevices-status").text

    def form(self, action: str) -> Node:
        """Return the POST form whose address ends so, whatever its query."""
        found = [
            form
            for form in self.root.all("form", method="post")
            if urlsplit(form.get("action") or self.path).path.endswith(action)
        ]
        assert len(found) == 1, f"{len(found)} forms lead to {action}"
        return found[0]


class Visitor:
    """A browser without its eyes; each page that it gets is checked for what holds everywhere."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client

    def get(self, path: str, *, htmx: bool = False, **headers: str) -> Page:
        """Open an address; ``_`` in the name of a header stands for ``-``."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        asked = {**(HTMX if htmx else {}), **named}
        return self._read(self.client.get(path, headers=asked, buffered=True))

    def post(self, path: str, *, htmx: bool = False, at: str = "/", **typed: str) -> Page:
        """Send just this, without the token that a form carries; ``at`` is the page one is on."""
        asked = {**HTMX, "HX-Current-URL": f"http://localhost{at}"} if htmx else {}
        return self._read(self.client.post(path, data=typed, headers=asked, buffered=True))

    def submit(self, page: Page, action: str, *, htmx: bool = False, **typed: str) -> Page:
        """Fill in a form of a page and send it."""
        form = page.form(action)
        values = {
            field["name"]: field.get("value") or ""
            for field in form.all("input")
            if field.get("name")
            and (field.get("type") != "checkbox" or field.get("checked") is not None)
        }
        assert typed.keys() <= {field.get("name") for field in form.all("input")}, typed
        address = (form.get("hx-post") if htmx else None) or form.get("action") or page.path
        return self.post(address, htmx=htmx, at=page.path, **{**values, **typed})

    def change(self, path: str, action: str, *, htmx: bool = False, **typed: str) -> Page:
        """Open a page, fill in a form of it and send it."""
        return self.submit(self.get(path), action, htmx=htmx, **typed)

    def follow(self, answer: Page) -> Page:
        """Go where an answer to a form leads."""
        assert answer.status == 303, answer.text
        return self.get(answer.location)

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
    """Assert what holds for every page and fragment."""
    ids = Counter(node["id"] for node in page.root.all() if node.get("id"))
    assert [name for name, times in ids.items() if times > 1] == [], "ids that are not unique"
    for form in page.root.all("form", method="post"):
        assert form.one("input", name="csrf_token")["value"]
    for node in page.root.all():
        assert node.get("style") is None
        assert not any(name.startswith("on") for name in node.attributes), node.attributes
    for field in page.root.all("input", aria_invalid="true"):
        beside = [page.root.one(id=name) for name in field["aria-describedby"].split()]
        assert any(node.get("class") == "error" or node.all(class_="error") for node in beside), (
            "what is wrong with a field is not said beside it"
        )
    for script in page.root.all("script"):
        assert script["src"].startswith("/")
        assert script.text == ""
    if page.is_whole:
        for attribute in ("aria-labelledby", "aria-describedby", "for", "popovertarget"):
            given = [node[attribute] for node in page.root.all() if node.get(attribute)]
            named = {name for names in given for name in names.split()}
            assert named <= ids.keys(), f"{attribute} names what is not there"
