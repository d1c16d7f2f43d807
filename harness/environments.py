"""Virtual environments with wheels and pinned packages, for tests."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.real_server import ROOT, clean_environment

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
# Fail soon if the package index is unavailable.
PIP_OPTIONS = {"PIP_DEFAULT_TIMEOUT": "15", "PIP_RETRIES": "2"}


def run(
    *command: str | Path, cwd: Path, status: int = 0, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command. Fail with its output if its exit status differs from ``status``."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=clean_environment(**PIP_OPTIONS | variables),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done


def build_wheel(folder: Path) -> Path:
    """Build the wheel of this checkout and return its path."""
    run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT, cwd=ROOT)
    [wheel] = folder.glob("*.whl")
    return wheel


def make_environment(folder: Path, requirements: Path, *packages: str | Path) -> Path:
    """Create a virtual environment with pinned packages and return its bin folder.

    pip doesn't resolve dependencies, because ``requirements`` lists every package. It only checks
    afterwards that the versions are compatible.

    Raises:
        RuntimeError: The packages can't be installed.
        AssertionError: The versions are incompatible.
    """
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    programs = folder / "bin"
    pip = (*PIP, "--python", programs / "python")
    try:
        install = (*pip, "install", "--quiet", "--no-compile", "--no-deps", "-r", requirements)
        run(*install, *packages, cwd=folder)
    except (AssertionError, subprocess.TimeoutExpired) as error:
        raise RuntimeError(
            f"Can't install {requirements.name}. pip needs access to a package index.\n{error}"
        ) from error
    run(*pip, "check", cwd=folder)
    return programs


def share_between_workers(
    factory: pytest.TempPathFactory, name: str, build: Callable[[Path], Path]
) -> Path:
    """Call ``build`` with a new folder, once per test run, and return the path that it returns.

    Other pytest-xdist workers wait until it has returned, and get the same path.

    Raises:
        RuntimeError: ``build`` failed in another worker.
    """
    base = factory.getbasetemp()
    # pytest-xdist gives each process a folder within the folder of the run.
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    folder.mkdir(exist_ok=True)
    result, failure = folder / "result", folder / "failure"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if failure.exists():
            raise RuntimeError(failure.read_text())
        if not result.exists():
            try:
                result.write_text(str(build(folder / "built")))
            except Exception as error:
                failure.write_text(str(error))
                raise
    return Path(result.read_text())
