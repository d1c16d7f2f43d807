"""Ways to send the identifier of a blocked device, and requests to send it with."""

import unicodedata
from collections.abc import Iterator
from itertools import product
from urllib.parse import quote

from tests.conftest import DEVICE, DEVICES, UPLOADS, VERIFY

NAME = b"X-Device-ID"
OTHER_NAME = b"X-Acme-Device"
"""A second name of the header, which the server accepts by its settings."""

IDENTIFIER = "Tablet-\u00e9-1"
"""The identifier of the blocked device. It has a letter that Unicode spells in two ways."""

METHODS = (
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "MKCOL",
    "PURGE", "M-SEARCH", "LINK", "QUERY", "get", "Get", "FOO", "HEAD ", "CONNECT",
)  # fmt: skip

PATHS = (
    DEVICE,
    UPLOADS,
    DEVICES,
    VERIFY,
    f"{DEVICES}/1",
    f"{DEVICES}/1/block",
    "/api",
    "/api/",
    "/api/v1/none",
    "/api//v1/device",
    "//api/v1/device",
    "/api/v1/device/",
    "/api/v1/device;a=b",
    "/api/v1/device%3Ba=b",
    "/api/v1/device%00",
    "/api/v1/device%20",
    "/api/v1/device.json",
    "/api/v1/devic%65",
    "/%61pi/v1/device",
    "/%2561pi/v1/device",
    "/api%2fv1%2fdevice",
    "/api/./v1/device",
    "/api/../api/v1/device",
    "/api/%2e%2e/api/v1/device",
    "/x/../api/v1/device",
    "/static/../api/v1/device",
    "/api\\v1\\device",
    "/API/v1/device",
    "/Api/V1/Device",
    "/api/v1/device?x=/livez",
    "/api/v1/device#/livez",
    "http://localhost/api/v1/device",
    "http://other.example/api/v1/device",
    "https://user@localhost:1/api/v1/device",
    "/verify/",
    "/verify/api/v1/device",
    "/verify/livez",
    "/verify//livez",
    "/verify/../livez",
    "/verify%2flivez",
    "/verify;x",
    "/verify?x",
    "/%76erify",
    "//verify",
    "/VERIFY",
    "http://localhost/verify",
)

EXTRAS = (
    b"X-HTTP-Method-Override: GET",
    b"X-HTTP-Method: OPTIONS",
    b"X-Method-Override: HEAD",
    b"X-Original-Method: OPTIONS",
    b"X-Original-Method: GET",
    b"X-Forwarded-Method: OPTIONS",
    b"X-Original-Method: \xff",
    b"X-Original-URI: /livez",
    b"X-Original-URL: /livez",
    b"X-Rewrite-URL: /livez",
    b"X-Forwarded-Uri: /livez",
    b"SCRIPT_NAME: /api",
    b"SCRIPT_NAME: /verify",
    b"PATH_INFO: /livez",
    b"X-Forwarded-Prefix: /api",
    b"X-Forwarded-For: 203.0.113.1",
    b"X-Forwarded-Proto: https",
    b"Origin: https://a.example\r\nAccess-Control-Request-Method: GET",
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    b"Connection: X-Device-ID",
    b"Connection: close, Authorization",
    b"Expect: 100-continue",
    b"Host: other.example",
    b"If-None-Match: *",
    b"Range: bytes=0-0",
    b"HX-Request: true",
    b"Accept: text/html",
    b"Cookie: X-Device-ID=free",
    b"_method: GET",
)


def headers() -> Iterator[tuple[bytes, ...]]:
    """Yield ways to send the identifier: the lines of the header."""
    raw = IDENTIFIER.encode()
    for name in (NAME, NAME.lower(), NAME.upper(), b"x-dEVICE-Id", OTHER_NAME, OTHER_NAME.lower()):
        for value in (raw, raw + b" ", b"\t" + raw + b"\t", b" " * 500 + raw):
            yield (name + b": " + value,)
        yield (name + b":" + raw,)
    for values in (
        (raw, raw), (raw, b"free"), (b"free", raw), (b"", raw), (raw, b""), (raw, raw, raw),
        (b" ", raw),
    ):  # fmt: skip
        for names in product((NAME, OTHER_NAME), repeat=len(values)):
            yield tuple(name + b": " + value for name, value in zip(names, values, strict=True))
    for value in (
        raw + b",free", b"free, " + raw, raw + b",", b"," + raw, raw + b";free", b'"' + raw + b'"',
        quote(IDENTIFIER).encode(), quote(IDENTIFIER, safe="").lower().encode(), raw.upper(),
        raw.replace(b"-", b"%2D"), IDENTIFIER.encode("latin-1"), IDENTIFIER.encode("utf-16"),
        raw + b"\x00", raw + b"\x0b", raw + b"\x7f", raw + b"\r\n free", raw + b"\\", b"'" + raw,
        raw + b"\t\t", raw + b"\xc2\x85", b"\xef\xbb\xbf" + raw, raw + b"\xc3", raw[:-1] + b"\xb1",
    ):  # fmt: skip
        yield (NAME + b": " + value,)
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        yield (NAME + b": " + unicodedata.normalize(form, IDENTIFIER).encode(),)
    for extra in (
        "\u00a0", "\u2003", "\u3000", "\u2028", "\u200b", "\u200d", "\u00ad", "\ufeff", "\u202e",
        "\u2066", "\ufe0f", "\u034f", "\u3164", "\u2800", "\U000e0041", "\u180e", "\u2060",
    ):  # fmt: skip
        yield (NAME + b": " + (IDENTIFIER + extra).encode(),)
        yield (NAME + b": " + (extra + IDENTIFIER).encode(),)
        yield (NAME + b": " + IDENTIFIER.replace("-", f"-{extra}", 1).encode(),)
    for name in (
        b"X_Device_ID", b"X-Device_ID", b"HTTP_X_DEVICE_ID", b"X--Device-ID", b"X-Device-ID ",
        b"\tX-Device-ID", b"X-Device-ID\x00", b"X.Device.ID", b"X-Device-Id-", b"XDeviceID",
    ):  # fmt: skip
        yield (name + b": " + raw,)
        yield (name + b": free", NAME + b": " + raw)
        yield (NAME + b": " + raw, name + b": free")


def requests(step: int = 1) -> Iterator[tuple[str, str, str, tuple[bytes, ...]]]:
    """Yield each ``step``-th combination: method, path, version and lines of headers."""
    plain = (NAME + b": " + IDENTIFIER.encode(),)
    spelled = ((method, path, "1.1", lines) for lines, path, method in product(
        headers(), PATHS[::3], ("GET", "POST")
    ))  # fmt: skip
    routed = ((method, path, version, plain) for method, path, version in product(
        METHODS, PATHS, ("1.1", "1.0")
    ))  # fmt: skip
    combined = ((method, path, "1.1", (*plain, extra)) for extra, path, method in product(
        EXTRAS, PATHS[::2], ("GET", "OPTIONS", "POST")
    ))  # fmt: skip
    for number, request in enumerate((*spelled, *routed, *combined)):
        if number % step == 0:
            yield request
