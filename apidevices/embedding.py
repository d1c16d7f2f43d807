"""What a host application adds to the admin pages: links, account, panels, example request."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from markupsafe import Markup

from apidevices.models import Device


@dataclass(frozen=True, slots=True)
class Link:
    """A link to add to the navigation of the admin pages."""

    label: str
    url: str


@dataclass(frozen=True, slots=True)
class Account:
    """The signed-in account.

    The sign-out button sends a POST with a ``csrf_token`` to ``sign_out_url``. Without a URL there
    is no button.
    """

    name: str
    sign_out_url: str | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """A section of a device's page; ``html`` is escaped unless it is ``Markup``."""

    title: str
    html: Markup | str


@dataclass(frozen=True, slots=True)
class Slots:
    """The host application's content for the admin pages; its callbacks run for each page."""

    navigation: Callable[[], Iterable[Link]]
    account: Callable[[], Account | None]
    device_panels: Callable[[Device], Iterable[Panel]]
    example_path: str | None
