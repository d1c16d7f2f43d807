"""Prometheus' own checker."""

import os
import shutil
import subprocess

import pytest


def run_promtool(*arguments: object, text: str = "") -> str:
    """Run promtool, fail if it finds something, and return what it prints."""
    if shutil.which("promtool") is None and "CI" not in os.environ:
        pytest.skip("promtool is not installed.")
    command = ["promtool", *map(str, arguments)]
    result = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr
