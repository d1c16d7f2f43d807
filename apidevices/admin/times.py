"""Times on the admin pages, as HTML."""

import re
from datetime import datetime, timedelta

import humanize
from markupsafe import Markup, escape

from apidevices import clock

_TIME = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d) UTC")
_TIME_ELEMENT = (
    r'<time datetime="\1T\2:00Z"><span><span>\1</span> <span>\2 UTC</span></span></time>'
)


def element(
    moment: datetime, now: datetime, *, show_exact: bool = False, is_past: bool = False
) -> Markup:
    """Return a ``<time>`` element with a relative time.

    The exact time is in its tooltip and available to screen readers. With ``show_exact`` it is
    visible as well. With ``is_past``, the time is that of an event: static/times.js keeps it
    current; if it is in the future, the clock of a host was wrong.
    """
    date, time = f"{moment:%Y-%m-%d}", f"{moment:%H:%M:%S} UTC"
    try:
        relative = humanize.naturaltime(moment, when=now)
        if relative.endswith(" from now"):
            relative = f"in {relative.removesuffix(' from now')}"
    except (ValueError, OverflowError):  # too far away for humanize
        relative = f"{date} {time}"
    if is_past and moment > now + clock.MAX_AHEAD:
        relative = "time unknown"
    elif relative == "now" or (is_past and moment > now):
        relative = "just now"
    seconds = int((now - moment).total_seconds())
    age = f' data-age="{seconds}"' if is_past and seconds >= 0 else ""
    milliseconds = moment.microsecond // 1000  # HTML allows no microseconds
    kind = "exact muted" if show_exact else "visually-hidden"
    # Markup.format would take longer than the rest of a row.
    return Markup(  # noqa: S704 - nothing here needs to be escaped
        f'<time datetime="{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds:03}Z"{age}'
        f' title="{date} {time}">{relative}<span class="{kind}">'
        f" (<span>{date}</span> <span>{time}</span>)</span></time>"
    )


def short_element(moment: datetime, now: datetime) -> Markup:
    """Return a ``<time>`` element with the clock time if a time is within a day, else the day."""
    is_soon = moment - now < timedelta(days=1)
    return Markup('<time datetime="{}" data-short="{}">{}</time>').format(
        f"{moment:%Y-%m-%dT%H:%M:%SZ}",
        "clock" if is_soon else "day",
        f"{moment:%H:%M} UTC" if is_soon else f"{moment:%-d %b}",
    )


def in_text(text: str) -> Markup:
    """Return a text as HTML. static/times.js shows its times in the viewer's zone.

    Args:
        text: A text with times such as "2030-05-17 12:00 UTC".
    """
    html = _TIME.sub(_TIME_ELEMENT, str(escape(text)))
    return Markup(html)  # noqa: S704 - the text is escaped
