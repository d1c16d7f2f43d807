"""JSON arrays in parts."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any


def json_array(chunks: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Yield the text of a JSON array with the items of all chunks, one item per line."""
    separator = "[\n"
    for chunk in chunks:
        yield separator + ",\n".join(json.dumps(item, ensure_ascii=False) for item in chunk)
        separator = ",\n"
    yield "[]\n" if separator == "[\n" else "\n]\n"
