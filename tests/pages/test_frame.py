"""Templates that all hosts share: they refer to nothing in the standalone application."""

import re
from pathlib import Path

import pytest

from apidevices.paths import TEMPLATES

SHARED = [
    path.relative_to(TEMPLATES)
    for path in sorted(TEMPLATES.rglob("*.html"))
    if "standalone" not in path.parts
]


@pytest.mark.parametrize("template", SHARED, ids=str)
def test_shared_template_links_only_to_endpoints_of_the_extension(template: Path) -> None:
    source = (TEMPLATES / template).read_text()
    endpoints = re.findall(r"url_for\(\s*[\"']([^\"']*)", source)
    assert [name for name in endpoints if not name.startswith((".", "apidevices."))] == []


@pytest.mark.parametrize("template", SHARED, ids=str)
def test_shared_template_includes_no_standalone_template(template: Path) -> None:
    assert "standalone/" not in (TEMPLATES / template).read_text()
