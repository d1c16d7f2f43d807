"""Programs and npm packages that some tests need. Without them, the tests are skipped."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest


def require(program: str) -> str:
    """Return the path of a program. Skip the test without it, except in CI."""
    found = shutil.which(program)
    if found is None:
        skip_or_fail(f"{program} is not installed.")
    return found


def skip_or_fail(reason: str) -> NoReturn:
    """Skip the test for this reason, or fail in CI."""
    if "CI" in os.environ:
        pytest.fail(f"{reason} CI must run this test.", pytrace=False)
    pytest.skip(reason)


def install_npm_packages(package_json: Path, folder: Path) -> Path:
    """Install the packages that a file names into a folder, and return their folder."""
    npm = require("npm")
    shutil.copy(package_json, folder)
    command = (npm, "install", "--no-audit", "--no-fund", "--ignore-scripts")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    if done.returncode:
        skip_or_fail(f"npm can't install {package_json.name}: {done.stderr[-500:]}")
    return folder / "node_modules"
