"""The standalone application stands on the extension's public names; the linter checks the rest."""

import ast

from harness.real_server import ROOT

PUBLIC = ("apidevices", "apidevices.toolkit")


def test_app_imports_public_names_only() -> None:
    tree = ast.parse((ROOT / "app.py").read_text())
    imported = {
        node.module or ""
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("apidevices")
    }
    assert {name for name in imported if not name.startswith("apidevices.standalone")} <= {*PUBLIC}
