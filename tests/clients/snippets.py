"""The code snippets of docs/clients.md as runnable files."""

import re

from harness.real_server import ROOT


def blocks(language: str) -> list[str]:
    """Return the code blocks in a language, in order."""
    text = (ROOT / "docs/clients.md").read_text()
    found: list[str] = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    return found


def python(library: str) -> str:
    """Return the snippet for a library, including the shared part."""
    shared, *rest = blocks("python")
    return shared + dict(zip(("requests", "httpx", "aiohttp"), rest, strict=True))[library]


def javascript(variant: str) -> str:
    """Return the module for fetch or axios, including the shared part."""
    shared, fetch, _, axios = blocks("js")
    return shared + {"fetch": fetch, "axios": axios}[variant]


def identifier_in_local_storage() -> str:
    """Return the lines that create ``deviceId`` in a browser."""
    return blocks("js")[2]


def go_snippet() -> str:
    """Return the snippet as a file of package main."""
    [snippet] = blocks("go")
    return snippet.replace("package api\n", "package main\n", 1)


KOTLIN_IMPORTS = """
import java.io.IOException
import java.net.URLEncoder
import kotlin.random.Random
import okhttp3.*
import org.json.JSONObject
"""


def kotlin_snippet() -> str:
    """Return the snippet as a file. Editors add its imports, so the document leaves them out."""
    [snippet] = blocks("kotlin")
    return KOTLIN_IMPORTS + snippet


def shell_function() -> str:
    """Return the shell function ``call_api``."""
    [snippet] = blocks("bash")
    return snippet
