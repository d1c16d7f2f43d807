"""An administrator who signs in to the real server and uses its pages without JavaScript."""

import re
from collections.abc import Mapping, Sequence
from http.client import HTTPResponse
from http.cookiejar import CookieJar
from typing import Any, cast
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, Request, build_opener

from harness.real_server import RealServer

EMAIL = "administrator@example.org"
PASSWORD = "a long password for the tests"

_CSRF_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


class SignedIn:
    """An administrator who has signed in."""

    def __init__(self, server: RealServer) -> None:
        arguments = ("apidevices", "create-user", EMAIL, "--password-stdin")
        created = server.flask(*arguments, stdin=f"{PASSWORD}\n")
        assert not created.returncode, created.stderr
        self._server = server
        self._browser: OpenerDirector = build_opener(HTTPCookieProcessor(CookieJar()))
        self.submit("/login", [("email", EMAIL), ("password", PASSWORD)])

    def open(self, path: str, body: bytes | None = None) -> HTTPResponse:
        """Request a page and return the response, which has not been read yet."""
        url = path if path.startswith("http") else f"{self._server.url}{path}"
        request = Request(url, body)  # noqa: S310 - it is always an HTTP URL
        return cast(HTTPResponse, self._browser.open(request, timeout=60))

    def read(self, path: str) -> str:
        """Return the HTML of a page."""
        with self.open(path) as response:
            return response.read().decode()

    def submit(
        self, path: str, fields: Mapping[str, Any] | Sequence[tuple[str, Any]], source: str = ""
    ) -> str:
        """Submit a form with these fields, and return the URL of the page that follows.

        Args:
            path: Where to send the form.
            fields: The fields, without the CSRF token.
            source: The page with the form; by default ``path``.
        """
        found = _CSRF_TOKEN.search(self.read(source or path))
        assert found, f"{source or path} has no form"
        pairs = list(fields.items() if isinstance(fields, Mapping) else fields)
        body = urlencode([("csrf_token", found[1]), *pairs]).encode()
        with self.open(path, body) as response:
            response.read()
            return response.url
