"""Linters find nothing in the OpenAPI document."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.programs import install_npm_packages, require

pytestmark = pytest.mark.database("sqlite")

HERE = Path(__file__).parent

LINTERS = {
    "spectral": ["lint", "--fail-severity", "hint", "--ruleset", str(HERE / "spectral.yaml")],
    "redocly": ["lint", "--config", str(HERE / "redocly.yaml"), "--format", "stylish"],
}
OLDEST_NODE = {"spectral": (18, 18), "redocly": (20, 19)}


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the linters."""
    folder = tmp_path_factory.mktemp("linters")
    return install_npm_packages(HERE / "package.json", folder) / ".bin"


@pytest.mark.parametrize("linter", LINTERS)
def test_linter_finds_nothing(
    linter: str, programs: Path, client: FlaskClient, tmp_path: Path
) -> None:
    version = subprocess.run([require("node"), "--version"], capture_output=True, text=True)
    if tuple(map(int, re.findall(r"\d+", version.stdout)))[:2] < OLDEST_NODE[linter]:
        pytest.skip(f"{linter} needs a newer version of Node.js.")
    document = tmp_path / "openapi.json"
    document.write_text(client.get("/api/openapi.json").text)
    done = subprocess.run(
        [programs / linter, *LINTERS[linter], document],
        env=os.environ | {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
