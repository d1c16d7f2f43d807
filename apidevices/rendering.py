"""Our templates, in an environment of our own.

The application's may have other defaults, filters and names, and its context processors give each
template what they like; ours get what their views say, and nothing else.
"""

from typing import Any

from flask import request, url_for
from jinja2 import Environment, FileSystemLoader

from apidevices import paths

environment = Environment(
    loader=FileSystemLoader(paths.TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
)
environment.globals["url_for"] = url_for


def render(name: str, /, **context: Any) -> str:
    """Return the template ``apidevices/<name>`` as HTML."""
    return environment.get_template(f"apidevices/{name}").render(request=request, **context)
