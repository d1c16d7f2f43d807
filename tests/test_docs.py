"""What the documents quote is what is there."""

import re

import pytest

from harness.real_server import ROOT
from harness.screenshots import SCREENSHOTS

DOCUMENTS = ["README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]

QUOTED = ["devices = APIDevices(\n", "    device = devices.current_device()\n"]


@pytest.mark.parametrize("beginning", QUOTED)
def test_quotes_of_the_box_office_are_true(beginning: str) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/flask.md").read_text(), re.DOTALL)
    [quote] = [block for block in blocks if block.startswith(beginning)]
    assert quote in (ROOT / "examples/box_office/app.py").read_text()


def test_box_office_is_as_short_as_it_is_said_to_be() -> None:
    lines = (ROOT / "examples/box_office/app.py").read_text().splitlines()
    assert "in under 150 lines" in (ROOT / "docs/flask.md").read_text()
    assert len(lines) < 150


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    path = ROOT / document
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_pictures_are_those_that_make_screenshots_takes() -> None:
    shown = re.findall(r'(?:src|srcset)="([^"]+)"', (ROOT / "README.md").read_text())
    assert sorted(shown) == sorted(SCREENSHOTS)
    assert all((ROOT / name).read_bytes().startswith(b"\x89PNG") for name in shown)
