"""Parse HTML into a tree, and fail if a tag is not closed or is closed out of order."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Self
from xml.etree.ElementTree import Element, TreeBuilder

# The attributes without a value that the pages use.
_BOOLEAN = frozenset(
    [
        "autofocus",
        "checked",
        "data-close",
        "data-breakable",
        "data-dialog",
        "data-errors",
        "defer",
        "hidden",
        "hx-disable",
        "novalidate",
        "open",
        "readonly",
        "required",
        "selected",
    ]
)
_VOID = frozenset({"br", "hr", "img", "input", "link", "meta", "source", "wbr"})


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.builder = TreeBuilder()
        self._open = ["root"]
        self.builder.start("root", {})

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"duplicate attribute: {attrs}"
        source = self.get_starttag_text() or ""
        assert not re.search(r'="[^"]*"[^\s>/]', source), f"attributes run together: {source}"
        bare = {name for name, value in attrs if value is None}
        assert bare <= _BOOLEAN, f"unknown attributes: {source}"
        self.builder.start(tag, {name: value or "" for name, value in attrs})
        self._open.append(tag)
        if tag in _VOID:
            self.handle_endtag(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1] == tag, f"</{tag}> closes <{self._open[-1]}>"
        self._open.pop()
        self.builder.end(tag)

    def handle_data(self, data: str) -> None:
        self.builder.data(data)

    def finish(self) -> Element:
        self.close()
        self.handle_endtag("root")
        return self.builder.close()


class Node:
    """An element of the tree."""

    def __init__(self, element: Element) -> None:
        self._element = element

    @classmethod
    def parse(cls, html: str) -> Self:
        """Parse a page or a fragment and return its root."""
        reader = _Reader()
        reader.feed(html)
        return cls(reader.finish())

    @property
    def tag(self) -> str:
        return str(self._element.tag)

    @property
    def text(self) -> str:
        """The text content, with whitespace collapsed."""
        return " ".join("".join(self._element.itertext()).split())

    @property
    def exact_text(self) -> str:
        """The text content with its original whitespace."""
        return "".join(self._element.itertext())

    @property
    def children(self) -> "list[Node]":
        return [Node(child) for child in self._element]

    @property
    def attributes(self) -> dict[str, str]:
        return dict(self._element.attrib)

    def __getitem__(self, attribute: str) -> str:
        return self._element.attrib[attribute]

    def get(self, attribute: str) -> str | None:
        return self._element.get(attribute)

    def all(self, tag: str = "*", **attributes: str) -> "list[Node]":
        """Return the descendants with these attributes. Write ``_`` for ``-`` in a name."""
        wanted = {name.strip("_").replace("_", "-"): value for name, value in attributes.items()}
        return [node for node in self._descendants(tag) if node._matches(wanted)]

    def one(self, tag: str = "*", **attributes: str) -> "Node":
        """Return the only descendant that matches, or fail."""
        found = self.all(tag, **attributes)
        assert len(found) == 1, f"{len(found)} <{tag}> elements with {attributes}"
        return found[0]

    def _descendants(self, tag: str) -> "Iterator[Node]":
        return (Node(found) for found in self._element.iterfind(f".//{tag}"))

    def _matches(self, attributes: dict[str, str]) -> bool:
        return all(self.get(name) == value for name, value in attributes.items())
