"""The core does not depend on the standalone application, which uses only public names."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.real_server import ROOT

PUBLIC = ("apidevices", "apidevices.toolkit")


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the import contracts against the package in a folder."""
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def package_copy(tmp_path: Path) -> Path:
    """A folder with a copy of the package and of the contracts."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "apidevices", tmp_path / "apidevices", ignore=ignored)
    return tmp_path


def test_imports_follow_the_contracts(package_copy: Path) -> None:
    result = lint_imports(package_copy)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("module", "statement", "contract"),
    [
        (
            "models",
            "from apidevices.standalone import uploads",
            "No other module imports the standalone application",
        ),
        (
            "devices/queries",
            "from apidevices.standalone import uploads",
            "No other module imports the standalone application",
        ),
        (
            "signals",
            "import flask_cors",
            "Only the standalone application imports its dependencies",
        ),
        (
            "signals",
            "import app",
            "Only the standalone application imports its dependencies",
        ),
        (
            "standalone/uploads",
            "from apidevices.signals import send",
            "The standalone application imports only public names",
        ),
        ("text", "import apidevices.models", "Imports follow the layers"),
    ],
)
def test_forbidden_import_breaks_its_contract(
    package_copy: Path, module: str, statement: str, contract: str
) -> None:
    with (package_copy / "apidevices" / f"{module}.py").open("a") as file:
        file.write(f"\n{statement}\n")
    result = lint_imports(package_copy)
    assert result.returncode == 1, result.stdout + result.stderr
    assert f"{contract} BROKEN" in result.stdout


def test_new_core_module_cannot_import_the_standalone_application(package_copy: Path) -> None:
    (package_copy / "apidevices" / "new.py").write_text(
        "from apidevices.standalone import uploads\n"
    )
    result = lint_imports(package_copy)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "apidevices.new -> apidevices.standalone.uploads" in result.stdout


def test_app_imports_only_public_names() -> None:
    tree = ast.parse((ROOT / "app.py").read_text())
    imported = {
        node.module or ""
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("apidevices")
    }
    assert {name for name in imported if not name.startswith("apidevices.standalone")} <= {*PUBLIC}
