"""Quotes, links and images in the documentation match the repository."""

import re

import pytest

from harness.real_server import ROOT
from harness.screenshots import SCREENSHOTS

DOCUMENTS = ["README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]

QUOTED = ["devices = APIDevices(\n", "    device = devices.current_device()\n"]


@pytest.mark.parametrize("beginning", QUOTED)
def test_quoted_code_matches_the_box_office(beginning: str) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/flask.md").read_text(), re.DOTALL)
    [quote] = [block for block in blocks if block.startswith(beginning)]
    assert quote in (ROOT / "examples/box_office/app.py").read_text()


def test_box_office_is_as_short_as_documented() -> None:
    lines = (ROOT / "examples/box_office/app.py").read_text().splitlines()
    assert "in under 150 lines" in (ROOT / "docs/flask.md").read_text()
    assert len(lines) < 150


@pytest.mark.parametrize("document", DOCUMENTS)
def test_relative_links_point_to_existing_files(document: str) -> None:
    path = ROOT / document
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_readme_shows_every_generated_screenshot() -> None:
    shown = re.findall(r'(?:src|srcset)="([^"]+)"', (ROOT / "README.md").read_text())
    assert sorted(shown) == sorted(SCREENSHOTS)
    assert all((ROOT / name).read_bytes().startswith(b"\x89PNG") for name in shown)
