"""Malformed and ambiguous HTTP/1.1 requests, generated from a matrix."""

from collections.abc import Iterator
from itertools import product

from tests.conftest import DEVICE, UPLOADS, VERIFY
from tests.hostile.bodies import body_cases
from tests.hostile.case import Case

PATHS = ("/livez", VERIFY, UPLOADS, "/login")


def all_cases(step: int = 1) -> Iterator[Case]:
    """Yield each ``step``-th case."""
    for number, case in enumerate(_all()):
        if number % step == 0:
            yield case


def _all() -> Iterator[Case]:
    for path in PATHS:
        encoded = path.encode()
        yield from _request_lines(encoded)
        yield from _bytes(encoded)
        yield from _headers(encoded)
        for method in (b"GET", b"POST"):
            yield from body_cases(method + b" " + encoded)


def _request_lines(path: bytes) -> Iterator[Case]:
    for method in (
        b"", b" GET", b"get", b"GeT", b"G ET", b"GET\t", b"\x00GET", b"GET\x00", b"G\xc3\x89T",
        b"GET,", b"GET/", b"\"GET\"", b"CONNECT", b"PRI", b"A" * 100, b"A" * 70_000, b"{}", b"GET:",
    ):  # fmt: skip
        yield Case(f"method {method[:20]!r}", method + b" " + path + b" HTTP/1.1")
    for method in (b"TRACE", b"PROPFIND", b"PURGE", b"OPTIONS", b"DELETE", b"M-SEARCH", b"QUERY"):
        yield Case(f"method {method!r}", method + b" " + path + b" HTTP/1.1", must_fail=False)
    for version in (
        b"", b"HTTP", b"HTTP/", b"HTTP/1", b"HTTP/1.", b"HTTP/.1", b"HTTP/1.1.1", b"HTTP/1.11",
        b"HTTP/11.1", b"HTTP/01.1", b"HTTP/1.2", b"HTTP/2", b"HTTP/2.0", b"HTTP/3", b"HTTP/9.9",
        b"HTTP/0.9", b"HTTP/-1.1", b"HTTP/1,1", b"http/1.1", b"HTTPS/1.1", b"RTSP/2.0",
        b"HTTP /1.1", b"HTTP/ 1.1", b"HTTP/1.1x", b"HTTP/1.1 x", b"HTTP/1.1\x00", b"HTTP/1.\xb1",
        b"HTTP/1.1 HTTP/1.1", b"\tHTTP/1.1",
    ):  # fmt: skip
        yield Case(f"version {version!r}", b"GET " + path + b" " + version)
    for target in (
        b"", b"*", b"x", b"?", b"#", b"\\", b"..", b"://", b"http:", b"http://", b"http:///",
        b"http://[", b"http://[::1", b"http://a:b@", b"http://a:99999999/", b"http://a b/", b"a:80",
        b"file:///etc/passwd", b"gopher://x/", b"javascript:alert(1)", b"\x00", b"\xff", b"@a",
        b":80", b"http//a/", b"ftp://localhost/x",
    ):  # fmt: skip
        name = f"target {target!r}"
        yield Case(name, b"GET " + target + b" HTTP/1.1", must_fail=False)
        yield Case(f"{name} and path", b"GET " + target + path + b" HTTP/1.1", must_fail=False)
    for suffix in (
        b"?", b"#", b"?#", b"??", b"%", b"%0", b"%zz", b"%00", b"%ff", b"%0d%0aX: y", b";a=b",
        b"\\",
        b"//", b"/.", b"/..", b"/%2e%2e/", b"%2f", b"?" + b"a=b&" * 5_000, b"?%", b"?a[]=b&a[]=c",
        b"/" + b"a" * 60_000, b"/../" * 5_000, b"?\xff", b"/\xc3\xa9", b"{}|^`", b"?a=\x7f",
    ):  # fmt: skip
        line = b"GET " + path + suffix + b" HTTP/1.1"
        yield Case(f"suffix {suffix[:20]!r}", line, must_fail=False)
    line = b"GET " + path + b" HTTP/1.1"
    for end in (b"\n", b"\r", b"\r\r\n", b"\n\r", b"\x00\r\n", b"\x0b", b"\xe2\x80\xa8"):
        yield Case(f"line end {end!r}", line, end=end)
    for space in (b"\t", b"\x0b", b"\x0c", b"\xa0", b"\r", b"\x00"):
        yield Case(f"space {space!r}", line.replace(b" ", space))
    for first in (
        b"\r\n",
        b"\n",
        b"\r\n\r\n",
        b" ",
        b"\t",
        b"\x00",
        b"\xef\xbb\xbf",
        b"\x16\x03\x01",
    ):
        yield Case(f"before {first!r}", first + line, must_fail=first.strip() != b"")
    yield Case("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM", headers=())


def _bytes(path: bytes) -> Iterator[Case]:
    line = b"GET " + path + b" HTTP/1.1"
    token = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    for number in range(256):
        byte = bytes([number])
        is_control = (number < 0x20 and byte != b"\t") or number == 0x7F
        for name, header, must_fail in (
            ("a name", b"A" + byte + b"b: c", byte not in token + b":\n"),
            ("the start of a name", byte + b"A: b", byte not in token + b" \t\n"),
            ("the end of a name", b"A" + byte + b": b", byte not in token + b":\n"),
            ("a value", b"A: b" + byte + b"c", is_control),
            ("the end of a value", b"A: b" + byte, is_control and byte not in b"\r\n"),
            ("the device id", b"X-Device-ID: b" + byte + b"c", is_control),
        ):
            headers = (b"Host: localhost", header)
            yield Case(f"{byte!r} in {name}", line, headers, must_fail=must_fail)
        for where, text in (
            ("the path", b"GET " + path + byte + b" HTTP/1.1"),
            ("the query", b"GET " + path + b"?a" + byte + b"b HTTP/1.1"),
            ("the method", b"G" + byte + b"T " + path + b" HTTP/1.1"),
        ):
            yield Case(f"{byte!r} in {where}", text, must_fail=number in (0, 0x0D))


def _headers(path: bytes) -> Iterator[Case]:
    line = b"GET " + path + b" HTTP/1.1"
    for header in (
        b"A", b":", b": b", b"A b: c", b"A : b", b"A\t: b", b" A: b", b"\tA: b", b"A: b\r\n c",
        b"A: b\r\n\tc", b"A: b\r\n \r\n c", b"A;b: c", b"A(b): c", b"\"A\": b", b"A\x00: b",
        b"Host : a", b"Host: localhost\r\n b", b"Content-Length : 1",
        b"Transfer-Encoding : chunked",
        b"Transfer-Encoding\x00: chunked", b"Content\x00-Length: 1", b"=: b", b"A=b", b"\x80: b",
    ):  # fmt: skip
        for position in (0, 1):
            lines = [b"Host: localhost"]
            lines.insert(position, header)
            yield Case(f"header {header!r}", line, tuple(lines))
    for count in (50, 98, 150, 1_000, 20_000):
        headers = (b"Host: localhost", *[b"A: b"] * count)
        yield Case(f"{count} headers", line, headers, must_fail=count > 98)
    for size in (1_000, 60_000, 140_000, 1_000_000):
        for header in (b"A: " + b"b" * size, b"a" * size + b": b"):
            yield Case(f"{size} bytes", line, (b"Host: localhost", header), must_fail=size > 70_000)
    for host in (
        b"", b"a b", b"a/b", b"a@b", b"a\\b", b"a:b", b"a:99999999", b"[::1", b"::1", b"a,b",
        b"\xff",
        b"<a>", b"a?b", b"a#b", b"%00", b"%0a", b"..", b"a" * 10_000, b"localhost:-1", b"*", b"'",
    ):  # fmt: skip
        yield Case(f"Host {host[:20]!r}", line, (b"Host: " + host,), must_fail=False)
    yield Case("no Host", line, headers=())
    yield Case("two Hosts", line, (b"Host: a", b"Host: b"))
    yield Case("two equal Hosts", line, (b"Host: localhost", b"Host: localhost"))
    for name, value in product(
        (b"Expect", b"Connection", b"Upgrade", b"TE", b"Trailer", b"Range", b"If-Match", b"Cookie",
         b"Accept-Encoding", b"Content-Type", b"Content-Encoding", b"If-Modified-Since", b"Via",
         b"Max-Forwards", b"Authorization", b"Keep-Alive", b"HTTP2-Settings", b"Origin",
         b"Access-Control-Request-Method", b"HX-Current-URL", b"Referer", b"Proxy-Authorization",
         b"X-Original-Method", b"X-Forwarded-For", b"X-Forwarded-Host", b"X-Forwarded-Proto"),
        (b"", b"x", b"*", b"close, keep-alive", b"upgrade", b"h2c", b"websocket", b"100-continue",
         b"bytes=0-", b"bytes=9-1,-1,1-99999999999", b"\xff\xfe", b"," * 500, b"a=b; " * 500,
         b"\"" * 99, b"-1", b"9" * 400, b"gzip;q=99", b"Bearer " + b"x" * 9_000, b"http://[", b"[",
         b"%00", b"Basic \xff", b"Mon, 99 Foo 0000 99:99:99 GMT", b"CONNECT", b"a\tb"),
    ):  # fmt: skip
        headers = (b"Host: localhost", name + b": " + value)
        yield Case(f"{name!r} {value[:20]!r}", line, headers, must_fail=False)


def split_requests() -> Iterator[tuple[str, list[bytes]]]:
    """Yield valid requests in two packets, split at each byte."""
    chunked = Case(
        "chunked",
        b"POST " + UPLOADS.encode() + b" HTTP/1.1",
        (b"Host: localhost", b"Transfer-Encoding: chunked"),
        b"1;a=b\r\n1\r\n0\r\nA: b\r\n\r\n",
    )
    sized = Case(
        "sized",
        b"POST /login HTTP/1.1",
        (b"Host: localhost", b"Content-Length: 3"),
        b"a=b",
    )
    plain = Case("plain", b"GET " + DEVICE.encode() + b"?a=b HTTP/1.1")
    for case in (chunked, sized, plain):
        raw = case.raw("case")
        for position in range(1, len(raw)):
            yield f"{case.name} at {position}", [raw[:position], raw[position:]]
