"""Containerfile and compose.yaml, as far as they can be checked without a container engine."""

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from apidevices.config import Settings
from apidevices.standalone.settings import ServerSettings
from harness.real_server import ROOT
from tests.conftest import only_settings


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe").load(ROOT / "compose.yaml")["services"]
    return found


CONTAINERFILE = (ROOT / "Containerfile").read_text()


def test_environment_of_the_compose_file_is_valid(services: dict[str, Any]) -> None:
    environment = services["apidevices"]["environment"]
    known = {name.upper() for name in ServerSettings.model_fields}
    known |= {f"APIDEVICES_{name.upper()}" for name in Settings.model_fields}
    assert set(environment) <= known
    with only_settings({**environment, "SECRET_KEY": "s" * 32}):
        ServerSettings.from_environ()


def test_mounted_files_exist(services: dict[str, Any]) -> None:
    mounted = [
        volume.split(":")[0]
        for service in services.values()
        for volume in service.get("volumes", ())
        if volume.startswith("./")
    ]
    assert mounted == ["./deploy/nginx.conf"]
    assert all((ROOT / path).exists() for path in mounted)


def test_container_can_write_only_to_its_data_volume(
    services: dict[str, Any],
) -> None:
    service = services["apidevices"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    [volume] = service["volumes"]
    assert volume.split(":")[1] == "/data"
    assert "APIDEVICES_INSTANCE=/data" in CONTAINERFILE


def test_container_does_not_run_as_root() -> None:
    final_stage = CONTAINERFILE.rpartition("\nFROM ")[2]
    [user] = re.findall(r"^USER (.+)$", final_stage, re.MULTILINE)
    assert int(user) > 0


def test_containerignore_includes_exactly_what_the_build_needs() -> None:
    included = {
        line.removeprefix("!")
        for line in (ROOT / ".containerignore").read_text().splitlines()
        if line.startswith("!")
    }
    project = (ROOT / "pyproject.toml").read_text()
    needed = set(re.findall(r'^"(.+)" = "apidevices/', project, re.MULTILINE))
    needed |= {"apidevices", "pyproject.toml", "README.md", "LICENSE", "constraints.txt"}
    assert included == needed
    assert all(Path(ROOT / name).exists() for name in included)


def test_compose_file_requires_secrets() -> None:
    text = (ROOT / "compose.yaml").read_text()
    for secret in ("POSTGRES_PASSWORD", "SECRET_KEY"):
        assert set(re.findall(rf"[$]{{{secret}(..)", text)) == {":?"}  # not ":-", a default
