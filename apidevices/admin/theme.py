"""The look that the settings ask for: accent colour, logo, and a base template of the host's."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit

from flask import render_template_string, request, url_for
from markupsafe import Markup

from apidevices import state
from apidevices.errors import ConfigError

_Color = tuple[int, int, int]

_BLACK: _Color = (0, 0, 0)
_WHITE: _Color = (255, 255, 255)
# --raised in app.css: the ground on which the accent is the hardest to read.
_RAISED_LIGHT: _Color = (247, 248, 250)
_RAISED_DARK: _Color = (27, 31, 37)
_CONTRAST = 4.5  # WCAG 2.2, 1.4.3

_IN_BASE = "apidevices.in_base"

_BRIDGE = """\
{% extends apidevices_page.base %}
{% block title %}{{ apidevices_page.title }}{% endblock %}
{% block head %}{{ super() }}{{ apidevices_page.head() }}{% endblock %}
{% block content %}{{ apidevices_page.content() }}{% endblock %}
"""


# --- the accent colour ---------------------------------------------------------------------------


@cache
def stylesheet(accent_color: str) -> str:
    """Return the CSS that sets the accent; ``accent_color`` is as in the settings.

    The colour fills buttons as it is. Where it is the colour of text, it is darkened or lightened
    until the text can be read.
    """
    colors = [_parse(part) for part in accent_color.split()]
    light, dark = colors[0], colors[-1]
    pairs = {
        "--accent": (light, dark),
        "--on-accent": (_on(light), _on(dark)),
        "--accent-text": (
            _legible(light, _RAISED_LIGHT, _BLACK),
            _legible(dark, _RAISED_DARK, _WHITE),
        ),
    }
    lines = (
        f"  {name}: light-dark({_hex(of_light)}, {_hex(of_dark)});\n"
        for name, (of_light, of_dark) in pairs.items()
    )
    return f".apidevices {{\n{''.join(lines)}}}\n"


def stylesheet_url() -> str | None:
    """Return the URL of that CSS, which changes with it; None without an accent colour."""
    accent_color = state.current().settings.accent_color
    if not accent_color:
        return None
    version = hashlib.sha256(stylesheet(accent_color).encode()).hexdigest()[:12]
    return url_for("apidevices.theme", v=version)


def _parse(text: str) -> _Color:
    digits = text.removeprefix("#")
    if len(digits) == 3:
        digits = "".join(digit * 2 for digit in digits)
    red, green, blue = bytes.fromhex(digits)
    return red, green, blue


def _hex(color: _Color) -> str:
    return f"#{bytes(color).hex()}"


def _luminance(color: _Color) -> float:
    """Return the relative luminance as WCAG defines it."""
    shares = [value / 255 for value in color]
    red, green, blue = (
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: _Color, other: _Color) -> float:
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _on(ground: _Color) -> _Color:
    """Return black or white, whichever reads better; one of them has a contrast of 4.5:1."""
    return max((_WHITE, _BLACK), key=lambda color: _contrast(color, ground))


def _legible(color: _Color, ground: _Color, towards: _Color) -> _Color:
    """Return the first mix of two colours that can be read on a ground."""
    mixed = color
    for percent in range(0, 101, 2):
        red, green, blue = (
            round(own + (other - own) * percent / 100)
            for own, other in zip(color, towards, strict=True)
        )
        mixed = red, green, blue
        if _contrast(mixed, ground) >= _CONTRAST:
            break
    return mixed


# --- the logo ------------------------------------------------------------------------------------


def logo_origin() -> str:
    """Return the origin that the logo comes from; empty where that is our own."""
    url = urlsplit(state.current().settings.logo_url)
    return f"{url.scheme}://{url.netloc}" if url.netloc else ""


# --- the base template ---------------------------------------------------------------------------


@dataclass
class _Page:
    """A page of ours, for the blocks of the host's template."""

    base: str
    title: Markup
    _content: Markup
    _render_head: Callable[[], Markup]
    has_head: bool = False
    has_content: bool = False

    def head(self) -> Markup:
        self.has_head = True
        return self._render_head()

    def content(self) -> Markup:
        self.has_content = True
        if self.has_head:
            return self._content
        # Browsers take styles and scripts in the body as well.
        return self.head() + self._content


def has_base() -> bool:
    """Tell whether pages are shown in a template of the host's."""
    return bool(state.current().settings.base_template)


def in_base(title: Markup, content: Markup, head: Callable[[], Markup]) -> Markup:
    """Return a page in the host's base template, rendered as the host renders its own.

    Raises:
        ConfigError: the template has no block for the content.
        TemplateNotFound: there is no such template.
    """
    page = _Page(state.current().settings.base_template, title, content, head)
    html = render_template_string(_BRIDGE, apidevices_page=page)
    if not page.has_content:
        raise ConfigError(f"APIDEVICES_BASE_TEMPLATE: {page.base} has no block named “content”")
    request.environ[_IN_BASE] = True
    return Markup(html)  # noqa: S704 - the host's template has escaped what it had to


def is_in_base() -> bool:
    """Tell whether the current answer is a page in the host's base template."""
    return _IN_BASE in request.environ
