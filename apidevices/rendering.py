"""Render the extension's templates in a separate Jinja environment.

The host application's environment may have other defaults, filters and globals, and its context
processors may add variables. None of that affects the extension's templates.
"""

from typing import Any

from flask import request, url_for
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from apidevices import paths

environment = Environment(
    loader=FileSystemLoader(paths.TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
)
environment.globals["url_for"] = url_for


def prose(text: str) -> Markup:
    """Return a text as HTML, with its parts in backticks as code."""
    code = Markup("<code>{}</code>")
    parts = enumerate(text.split("`"))
    return Markup("").join(code.format(part) if number % 2 else part for number, part in parts)


environment.filters["prose"] = prose


def render(name: str, /, **context: Any) -> str:
    """Return the template ``apidevices/<name>`` as HTML."""
    return environment.get_template(f"apidevices/{name}").render(request=request, **context)
