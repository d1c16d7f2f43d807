"""Sessions in signed cookies. They end after some hours without use, and after 30 days.

Over HTTPS, the cookie has another name and another signature, so that a cookie that was once sent
without encryption is worthless there. The prefix ``__Host-`` makes browsers reject the cookie
unless it is secure and was set by the same host.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Flask, Request, Response, g, session
from flask.globals import request_ctx
from flask.sessions import (
    SecureCookieSession,
    SecureCookieSessionInterface,
    SessionInterface,
    SessionMixin,
)
from flask_login import user_accessed, user_logged_in, user_logged_out

from apidevices.toolkit import MESSAGES, clock, is_poll

MAX_AGE = timedelta(days=30)
"""When a session ends after the sign-in, even if it is in use."""

_USER = "_user_id"
_SIGNED_IN_AT = "_signed_in_at"
_USED_AT = "_used_at"

_PRECISION = timedelta(minutes=1)
"""How far ``_USED_AT`` may lag behind, so that not every response has to set the cookie."""

_MESSAGES = (MESSAGES, "_flashes")
_SIGN_IN_STATE = (_USER, "_fresh", "_id")  # what Flask-Login has just stored


class _PlainCookies(SecureCookieSessionInterface):
    """Sessions over HTTP."""


class _SecureCookies(SecureCookieSessionInterface):
    """Sessions over HTTPS. The prefix ``__Host-`` demands the path and forbids a domain."""

    salt = "apidevices.secure-session"

    def get_cookie_name(self, app: Flask) -> str:
        return f"__Host-{super().get_cookie_name(app)}"

    def get_cookie_domain(self, app: Flask) -> None:
        return None

    def get_cookie_path(self, app: Flask) -> str:
        return "/"

    def get_cookie_secure(self, app: Flask) -> bool:
        return True


class _Sessions(SessionInterface):
    """Opens and saves the sessions of an application: see ``init_app``."""

    def __init__(self, max_idle: timedelta, *, always_secure: bool) -> None:
        self._max_idle = max_idle
        self._always_secure = always_secure
        self._plain, self._secure = _PlainCookies(), _SecureCookies()

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return the session of a request. It is empty if it has ended."""
        opened = self._cookies(request).open_session(app, request)
        if opened and _USER in opened and self._has_ended(opened, clock.now()):
            return SecureCookieSession()
        return opened

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Set or delete the cookie of a session that has changed."""
        if response.cache_control.public:
            return  # the same for everyone, such as a static file
        request = request_ctx.request
        cookies = self._cookies(request)
        cookies.save_session(app, session, response)
        plain = self._plain.get_cookie_name(app)
        if cookies is self._secure and plain in request.cookies:
            response.delete_cookie(plain)  # set before the site used HTTPS

    def _cookies(self, request: Request) -> SecureCookieSessionInterface:
        return self._secure if self._always_secure or request.is_secure else self._plain

    def _has_ended(self, opened: SecureCookieSession, now: datetime) -> bool:
        if _SIGNED_IN_AT not in opened:
            return True  # from a version without these limits
        return (
            now - _time(opened[_SIGNED_IN_AT]) >= MAX_AGE
            or now - _time(opened[_USED_AT]) >= self._max_idle
        )


def init_app(app: Flask, *, max_idle: timedelta, always_secure: bool) -> None:
    """Set up the sessions of an application.

    Args:
        app: The application.
        max_idle: How long a session lasts without a request by its user.
        always_secure: Whether cookies are secure even if a request seems to use HTTP, because a
            proxy uses HTTPS and does not say so.
    """
    app.session_interface = _Sessions(max_idle, always_secure=always_secure)
    user_logged_in.connect(_begin, app)
    user_accessed.connect(_continue, app)
    user_logged_out.connect(_end, app)


def _begin(_app: Flask, **_extra: Any) -> None:
    """Begin a new session at sign-in, with a new CSRF token.

    An attacker may have planted the previous session in this browser and must not know the new one.
    """
    _remove_all_except(*_MESSAGES, *_SIGN_IN_STATE)
    session[_SIGNED_IN_AT] = session[_USED_AT] = clock.now().timestamp()


def _continue(_app: Flask, **_extra: Any) -> None:
    """Remember that a session is in use, unless the page has sent this request by itself."""
    if _USED_AT in session and not is_poll():
        now = clock.now()
        if now - _time(session[_USED_AT]) >= _PRECISION:
            session[_USED_AT] = now.timestamp()


def _end(_app: Flask, **_extra: Any) -> None:
    """Remove everything but messages at sign-out."""
    _remove_all_except(*_MESSAGES)


def _remove_all_except(*keys: str) -> None:
    for key in session.keys() - set(keys):
        del session[key]
    g.pop("csrf_token", None)  # Flask-WTF's copy


def _time(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC)
