"""Our templates, in an environment of our own.

The application's may have other defaults, filters and names, and its context processors give each
template what they like; ours get what their views say, and nothing else.
"""

from typing import Any

from flask import current_app, get_flashed_messages, request, url_for
from jinja2 import Environment, FileSystemLoader

from apidevices import paths

OPTIONS: dict[str, Any] = {"trim_blocks": True, "lstrip_blocks": True}
"""How our templates are read, whoever reads them."""

environment = Environment(loader=FileSystemLoader(paths.TEMPLATES), autoescape=True, **OPTIONS)
environment.globals.update(url_for=url_for, get_flashed_messages=get_flashed_messages)


def render(name: str, **context: Any) -> str:
    """Return the template ``apidevices/<name>`` as HTML.

    It may call what the environment has, and what the application's has under a name that begins
    with ``apidevices_``.
    """
    ours = {
        key: value
        for key, value in current_app.jinja_env.globals.items()
        if key.startswith("apidevices_")
    }
    template = environment.get_template(f"apidevices/{name}")
    return template.render(request=request, **ours, **context)
