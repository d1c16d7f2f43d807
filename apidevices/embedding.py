"""What an application adds to our pages: links, the account, panels, a call to try."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from markupsafe import Markup

from apidevices.models import Device


@dataclass(frozen=True, slots=True)
class Link:
    """A link in the navigation, beside ours."""

    label: str
    url: str


@dataclass(frozen=True, slots=True)
class Account:
    """Who is signed in.

    ``sign_out_url`` receives a POST with a ``csrf_token``; without one there is no button.
    """

    name: str
    sign_out_url: str | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """A section of a device's details; ``html`` is escaped unless it is ``Markup``."""

    title: str
    html: Markup | str


@dataclass(frozen=True, slots=True)
class Slots:
    """The places on our pages that an application fills, called for each page."""

    navigation: Callable[[], Iterable[Link]]
    account: Callable[[], Account | None]
    device_panels: Callable[[Device], Iterable[Panel]]
    example_path: str | None
