"""The configurable theme: accent color, logo, and the host application's base template."""

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
# --surface in app.css: the background on which accent text has the lowest contrast.
_SURFACE_LIGHT: _Color = (247, 248, 250)
_SURFACE_DARK: _Color = (27, 31, 37)
_MIN_CONTRAST = 4.5  # WCAG 2.2, 1.4.3

_USED_BASE_TEMPLATE = "apidevices.used_base_template"

_ADAPTER = """\
{% extends apidevices_page.base %}
{% block title %}{{ apidevices_page.title }}{% endblock %}
{% block head %}{{ super() }}{{ apidevices_page.head() }}{% endblock %}
{% block content %}{{ apidevices_page.content() }}{% endblock %}
"""


# --- accent color --------------------------------------------------------------------------------


@cache
def stylesheet(accent_color: str) -> str:
    """Return the CSS for an accent color: one color, or a light and a dark one, as in the settings.

    Buttons are filled with exactly this color. For text, it is darkened or lightened until its
    contrast is at least 4.5:1.
    """
    colors = [_parse(part) for part in accent_color.split()]
    light, dark = colors[0], colors[-1]
    pairs = {
        "--accent": (light, dark),
        "--on-accent": (_text_color_on(light), _text_color_on(dark)),
        "--accent-text": (
            _with_contrast(light, _SURFACE_LIGHT, _BLACK),
            _with_contrast(dark, _SURFACE_DARK, _WHITE),
        ),
    }
    lines = (
        f"  {name}: light-dark({_hex(of_light)}, {_hex(of_dark)});\n"
        for name, (of_light, of_dark) in pairs.items()
    )
    return f".apidevices {{\n{''.join(lines)}}}\n"


def stylesheet_url() -> str | None:
    """Return the versioned URL of the accent CSS, or None without an accent color."""
    accent_color = state.current().settings.accent_color
    if not accent_color:
        return None
    return url_for("apidevices.theme", v=version(accent_color))


def version(accent_color: str) -> str:
    """Return the version of the CSS for an accent color."""
    return hashlib.sha256(stylesheet(accent_color).encode()).hexdigest()[:12]


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
    channels = [value / 255 for value in color]
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: _Color, other: _Color) -> float:
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _text_color_on(background: _Color) -> _Color:
    """Return black or white, whichever has more contrast. It is always at least 4.5:1."""
    return max((_WHITE, _BLACK), key=lambda color: _contrast(color, background))


def _with_contrast(color: _Color, background: _Color, toward: _Color) -> _Color:
    """Shift a color toward another until it has enough contrast on a background."""
    mixed = color
    for percent in range(0, 101, 2):
        red, green, blue = (
            round(start + (end - start) * percent / 100)
            for start, end in zip(color, toward, strict=True)
        )
        mixed = red, green, blue
        if _contrast(mixed, background) >= _MIN_CONTRAST:
            break
    return mixed


# --- logo ----------------------------------------------------------------------------------------


def logo_origin() -> str:
    """Return the origin of the logo, or "" if the application serves the logo itself."""
    url = urlsplit(state.current().settings.logo_url)
    return f"{url.scheme}://{url.netloc}" if url.netloc else ""


# --- base template -------------------------------------------------------------------------------


@dataclass
class _Page:
    """An admin page, whose parts ``_ADAPTER`` inserts into the blocks of the host's template.

    Records which of these blocks the host's template has rendered.
    """

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
        # The host's template has no head block. Styles and scripts work in the body as well.
        return self.head() + self._content


def has_base_template() -> bool:
    """Return whether the settings name a base template of the host application."""
    return bool(state.current().settings.base_template)


def render_in_base_template(title: Markup, content: Markup, head: Callable[[], Markup]) -> Markup:
    """Render a page in the host's base template, in the host's Jinja environment.

    Raises:
        ConfigError: The template has no ``content`` block.
        TemplateNotFound: The template does not exist.
    """
    page = _Page(state.current().settings.base_template, title, content, head)
    html = render_template_string(_ADAPTER, apidevices_page=page)
    if not page.has_content:
        raise ConfigError(f"APIDEVICES_BASE_TEMPLATE: {page.base} has no block named “content”")
    request.environ[_USED_BASE_TEMPLATE] = True
    return Markup(html)  # noqa: S704 - the host's template did the escaping


def used_base_template() -> bool:
    """Return whether this request rendered a page in the host's base template."""
    return _USED_BASE_TEMPLATE in request.environ
