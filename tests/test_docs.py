"""What the documents quote is what is there."""

import re
from contextlib import closing
from typing import Any

import pytest

from harness.real_server import ROOT, RealServer
from harness.screenshots import PICTURES
from tests.conftest import DEVICE, as_device

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
    assert sorted(shown) == sorted(PICTURES)
    assert all((ROOT / name).read_bytes().startswith(b"\x89PNG") for name in shown)


# --- client code -------------------------------------------------------------------------------


def blocks(document: str, language: str) -> list[str]:
    text = (ROOT / "docs" / document).read_text()
    found: list[str] = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    return found


@pytest.mark.parametrize("library", ["requests", "httpx"])
def test_python_of_clients_works(server: RealServer, token: str, library: str) -> None:
    headers, with_requests, with_httpx, understanding = blocks("clients.md", "python")
    module = pytest.importorskip(library)
    names = {
        library: module,
        "url": server.url,
        "token": token,
        "device_id": f"python-{library}",
        "model": "Café 设备",
    }
    call = {"requests": with_requests, "httpx": with_httpx}[library]
    exec(f"{headers}\n{call}\n{understanding}", names)  # noqa: S102 - it is what we publish
    answer: Any = names["answer"]
    understood: Any = names["understood"]
    assert answer.json()["model"] == "Café 设备"
    assert understood(answer) == "ok"
    path = f"/api/v1/devices/{answer.json()['id']}/block"
    assert server.call("POST", path, as_device(token, None)).status == 200
    client: Any = names.get("session") or names["client"]
    with closing(client) as again:
        assert understood(again.get(f"{server.url}{DEVICE}")) == "blocked"
        again.headers["Authorization"] = "Bearer x"
        assert understood(again.get(f"{server.url}{DEVICE}")) == "sign in"


@pytest.fixture(scope="session")
def token(server: RealServer) -> str:
    return server.create_token("docs", "devices:read", "devices:write")
