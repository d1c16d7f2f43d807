"""Compression of responses: static files as small as possible, everything else fast.

Brotli at its best level needs 60 ms for the largest static file, once per process, and makes it
smaller than any other algorithm. For a page, which is compressed for each request, zstd takes a
tenth of the time of Brotli and gzip.
"""

from functools import lru_cache

import brotli
from flask import Flask, Response, request
from flask_compress import Compress

_ALGORITHMS = ["zstd", "br", "gzip"]
_BEST = 11


def init_app(app: Flask) -> None:
    """Compress the responses of an application."""
    app.config.setdefault("COMPRESS_ALGORITHM", _ALGORITHMS)
    Compress(app)
    app.after_request(_compress_static_file)  # runs first, and Flask-Compress skips its responses


def _compress_static_file(response: Response) -> Response:
    """Compress a static file that browsers cache with Brotli, if the client accepts it."""
    if (
        response.cache_control.immutable
        and response.status_code == 200
        and "Content-Encoding" not in response.headers
        and request.accept_encodings.quality("br")
    ):
        etag = response.get_etag()[0] or ""
        compressed = _compress(response.get_data())
        if compressed:
            response.set_data(compressed)
            response.content_encoding = "br"
            response.set_etag(f"{etag}:br")
            response.make_conditional(request)
    return response


@lru_cache(maxsize=64)  # more than there are static files
def _compress(data: bytes) -> bytes | None:
    """Return the compressed data, or None if it isn't smaller."""
    compressed: bytes = brotli.compress(data, quality=_BEST)
    return compressed if len(compressed) < len(data) else None
