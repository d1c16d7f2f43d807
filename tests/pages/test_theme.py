"""The theme settings, in the standalone application."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apidevices.admin.theme import stylesheet
from tests.conftest import MakeApp
from tests.pages.conftest import SECRET_KEY, signed_in_visitor
from tests.pages.visitor import Visitor

LIST = "/settings/api-devices"
YEAR = 365 * 24 * 3600
SURFACES = ("#f7f8fa", "#1b1f25")  # --surface in app.css, where text has the lowest contrast


@pytest.fixture
def themed(make_app: MakeApp, session_cookie: str, request: pytest.FixtureRequest) -> Visitor:
    """A signed-in administrator of an application with the given settings."""
    return signed_in_visitor(make_app(SECRET_KEY=SECRET_KEY, **request.param), session_cookie)


def with_settings(**settings: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("themed", [settings], indirect=True)


def stylesheets(visitor: Visitor) -> list[str]:
    return [link["href"] for link in visitor.get(LIST).root.all("link", rel="stylesheet")]


@with_settings(APIDEVICES_ACCENT_COLOR="#0b7a4b #5fd3a2")
def test_accent_color_is_in_a_stylesheet_of_its_own(themed: Visitor) -> None:
    response = themed.client.get(next(url for url in stylesheets(themed) if "theme.css" in url))
    assert response.mimetype == "text/css"
    assert "--accent: light-dark(#0b7a4b, #5fd3a2)" in response.text


@with_settings(APIDEVICES_ACCENT_COLOR="#0b7a4b")
def test_accent_color_is_cached_and_needs_no_sign_in(themed: Visitor) -> None:
    url = next(url for url in stylesheets(themed) if "theme.css" in url)
    themed.client.delete_cookie("apidevices_session")
    assert themed.client.get(url).cache_control.max_age == YEAR


def test_pages_without_an_accent_color_have_no_stylesheet_for_it(admin: Visitor) -> None:
    assert not any("theme.css" in url for url in stylesheets(admin))
    assert admin.get(f"{LIST}/theme.css").status == 404


def colors(css: str, name: str) -> tuple[str, str]:
    [(light, dark)] = re.findall(rf"--{name}: light-dark\((#\w+), (#\w+)\)", css)
    return light, dark


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio as WCAG defines it."""

    def luminance(color: str) -> float:
        channels = [byte / 255 for byte in bytes.fromhex(color[1:])]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return sum(
            value * weight for value, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True)
        )

    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@given(st.integers(0, 0xFFFFFF), st.integers(0, 0xFFFFFF))
def test_text_is_legible_with_every_accent_color(light: int, dark: int) -> None:
    css = stylesheet(f"#{light:06x} #{dark:06x}")
    fills = zip(colors(css, "accent"), colors(css, "on-accent"), strict=True)
    texts = zip(colors(css, "accent-text"), SURFACES, strict=True)
    for one, other in [*fills, *texts]:
        assert contrast(one, other) >= 4.5, (one, other)


def test_single_three_digit_color_is_used_in_both_schemes() -> None:
    assert colors(stylesheet("#FC0"), "accent") == ("#ffcc00", "#ffcc00")


@with_settings(APIDEVICES_LOGO_URL="https://cdn.example:8443/logo.svg?v=1")
def test_logo_from_another_origin_is_shown_and_allowed_by_the_policy(themed: Visitor) -> None:
    page = themed.get(LIST)
    image = page.root.one("header").one("img")
    assert image.attributes == {
        "class": "logo",
        "src": "https://cdn.example:8443/logo.svg?v=1",
        "alt": "",
    }
    policy = page.headers["Content-Security-Policy"]
    assert "; img-src 'self' data: https://cdn.example:8443; " in policy


@with_settings(APIDEVICES_LOGO_URL="/static/logo.svg")
def test_login_page_shows_the_logo(themed: Visitor) -> None:
    themed.client.delete_cookie("apidevices_session")
    assert themed.get("/login").root.one("img")["src"] == "/static/logo.svg"
