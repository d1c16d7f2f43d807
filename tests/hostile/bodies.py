"""Malformed and ambiguous bodies of HTTP/1.1 requests, generated from a matrix."""

from collections.abc import Iterator

from tests.hostile.case import SMUGGLED, Case


def body_cases(target: bytes) -> Iterator[Case]:
    """Yield the cases for a method and a path."""
    line = target + b" HTTP/1.1"
    yield from _lengths(line)
    yield from _encodings(line)
    yield from _chunks(line)
    yield from _smuggling(target)


def _lengths(line: bytes) -> Iterator[Case]:
    for value in (
        b"-1", b"+1", b"1e1", b"0x1", b"1.0", b"1 1", b"1,1", b"1, 2", b"1;", b"1\x00", b"\xb9",
        b"a",
        b"one", b"18446744073709551616", b"18446744073709551617", b"9" * 100, b"1_0", b"\x0b1",
        b"--1", b"0b1", b"0o1", b"1l", b"\"1\"", b"'1'", b"1/", b"1\t1", b"NaN", b"%31",
    ):  # fmt: skip
        headers = (b"Host: localhost", b"Content-Length: " + value)
        yield Case(f"length {value[:25]!r}", line, headers, b"1")
    for first, second in ((b"1", b"2"), (b"2", b"1"), (b"0", b"1"), (b"1", b"x"), (b"1", b"1")):
        lengths = (b"Content-Length: " + first, b"Content-Length: " + second)
        yield Case(f"lengths {first!r} {second!r}", line, (b"Host: localhost", *lengths), b"1")
    for size in (b"9", b"1000000", b"99999999999", b"18446744073709551615"):
        headers = (b"Host: localhost", b"Content-Length: " + size)
        yield Case(f"body shorter than {size!r}", line, headers, b"1", must_fail=False)


def _encodings(line: bytes) -> Iterator[Case]:
    chunks = b"1\r\n1\r\n0\r\n\r\n"
    for value in (
        b"xchunked", b"chunkedx", b"identity", b"gzip", b"chunked, identity", b"chunked, gzip",
        b"chunked chunked", b"chunked, chunked", b"\"chunked\"", b"'chunked'", b"chunked;a=b",
        b"chunked\x00", b"\x0bchunked", b"chunked\x0b", b"\xffchunked", b"chu nked", b"c", b",",
        b"cow", b"chunk", b"CHUNKED-", b"identity\r\nTransfer-Encoding: x", b"chunked\r\n x",
        b"\r\n chunked", b"x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3",
    ):  # fmt: skip
        encoding = b"Transfer-Encoding: " + value
        for lengths in ((), (b"Content-Length: 1",), (b"Content-Length: %d" % len(chunks),)):
            headers = (b"Host: localhost", encoding, *lengths)
            yield Case(f"encoding {value!r} {lengths}", line, headers, chunks)
    for value in (
        b"chunked",
        b"Chunked",
        b"CHUNKED",
        b" chunked",
        b"chunked ",
        b"\tchunked",
        b"gzip, chunked",
    ):
        headers = (b"Host: localhost", b"Transfer-Encoding: " + value)
        yield Case(f"encoding {value!r}", line, headers, chunks, must_fail=False)
        headers += (b"Content-Length: 1",)
        yield Case(f"encoding {value!r} and length", line, headers, chunks)


def _chunks(line: bytes) -> Iterator[Case]:
    headers = (b"Host: localhost", b"Transfer-Encoding: chunked", b"Content-Type: application/json")
    for chunks in (
        b"zz\r\n1\r\n0\r\n\r\n", b"-1\r\n1\r\n0\r\n\r\n", b"+1\r\n1\r\n0\r\n\r\n",
        b"\r\n1\r\n0\r\n\r\n",
        b"0x1\r\n1\r\n0\r\n\r\n", b" 1\r\n1\r\n0\r\n\r\n", b"1\r\n11\r\n0\r\n\r\n",
        b"1\r\n1\n0\r\n\r\n", b"1\n1\r\n0\r\n\r\n", b"1\r1\r\n0\r\n\r\n", b"1\r\n10\r\n\r\n",
        b"1\x00\r\n1\r\n0\r\n\r\n", b"1\xff\r\n1\r\n0\r\n\r\n", b"1_\r\n1\r\n0\r\n\r\n",
        b"1g\r\n1\r\n0\r\n\r\n",
        b"fffffffffffffffff1\r\n1\r\n0\r\n\r\n",
        b"1.0\r\n1\r\n0\r\n\r\n", b"1 1\r\n1\r\n0\r\n\r\n", b"1;\n\r\n1\r\n0\r\n\r\n",
        b";\r\n1\r\n0\r\n\r\n",
        b"1\r\n1\r\n0\r\nA b: c\r\n\r\n", b"1\r\n1\r\n0\r\n: c\r\n\r\n",
        b"1\r\n1\r\n0\r\nA\r\n\r\n",
        b"1\r\n1\r\n0\r\nA: b\x00\r\n\r\n", b"1;a=\x00\r\n1\r\n0\r\n\r\n", b"1\r\n1\r\n0\n\n",
    ):  # fmt: skip
        yield Case(f"chunks {chunks[:30]!r}", line, headers, chunks)
    for chunks in (
        b"",
        b"1",
        b"1\r\n",
        b"1\r\n1",
        b"1\r\n1\r\n",
        b"1\r\n1\r\n0",
        b"1\r\n1\r\n0\r\n",
        b"5\r\n1",
        b"f" * 16 + b"\r\n1",
    ):
        yield Case(f"incomplete {chunks!r}", line, headers, chunks, must_fail=False)
    for extension in (b";a", b";a=b", b';a="b"', b";" + b"a" * 1_000, b" ;a", b"\t"):
        chunk = b"1" + extension + b"\r\n1\r\n0\r\nA: b\r\n\r\n"
        yield Case(f"extension {extension[:20]!r}", line, headers, chunk, must_fail=False)


def _smuggling(target: bytes) -> Iterator[Case]:
    chunked, hidden = b"0\r\n\r\n" + SMUGGLED, SMUGGLED
    length = b"Content-Length: %d" % len(hidden)
    chunked_length = b"Content-Length: %d" % len(chunked)
    in_chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (len(hidden), hidden)
    for version in (b"HTTP/1.1", b"HTTP/1.0"):
        line = target + b" " + version
        for name, headers, body in (
            ("CL.TE", (chunked_length, b"Transfer-Encoding: chunked"), chunked),
            ("TE.CL", (b"Transfer-Encoding: chunked", b"Content-Length: 4"), chunked),
            ("TE.TE", (b"Transfer-Encoding: chunked", b"Transfer-Encoding: x"), chunked),
            ("TE.0", (b"Transfer-Encoding: identity",), hidden),
            ("CL.CL", (b"Content-Length: 0", length), hidden),
            ("space", (length.replace(b":", b" :"),), hidden),
            ("underscore", (length.replace(b"-", b"_"),), b""),
            ("folded", (b"X: y\r\n " + length,), hidden),
            ("in TE", (length, b"X: y\nTransfer-Encoding: chunked"), hidden),
            ("upgrade", (b"Connection: Upgrade", b"Upgrade: h2c", length), hidden),
            ("websocket", (b"Connection: Upgrade", b"Upgrade: websocket", length), hidden),
            ("expect", (b"Expect: 100-continue", length), hidden),
            ("body", (length,), hidden),
            ("chunk", (b"Transfer-Encoding: chunked",), in_chunk),
            ("extension", (b"Transfer-Encoding: chunked",), b"1;\n%b\r\n" % hidden),
            ("trailer", (b"Transfer-Encoding: chunked",), b"0\r\nX: y\r\n%b" % hidden),
        ):  # fmt: skip
            yield Case(
                f"{name} {version.decode()}",
                line,
                (b"Host: localhost", *headers),
                body,
                must_fail=False,
            )
