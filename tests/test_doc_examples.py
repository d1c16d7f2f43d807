"""The Python examples and the anchors in the documentation."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.real_server import ROOT

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def python_examples() -> list[Any]:
    found = [
        SimpleNamespace(place=f"{path.name}:{number}", code=code)
        for path in DOCUMENTS
        for number, code in enumerate(
            re.findall(r"^```python\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE)
        )
        if not code.startswith(" ")
    ]
    return [pytest.param(example.code, id=example.place) for example in found]


@pytest.mark.parametrize("code", python_examples())
def test_python_example_has_valid_syntax(code: str) -> None:
    compile(code, "<example>", "exec")


def anchors(path: Path) -> set[str]:
    """Return the anchors of a document's headings, by GitHub's rules."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=[path.name for path in DOCUMENTS])
def test_links_to_headings_have_an_existing_target(path: Path) -> None:
    for document, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", path.read_text()):
        target = (path.parent / document) if document else path
        assert anchor in anchors(target), f"{document}#{anchor}"
