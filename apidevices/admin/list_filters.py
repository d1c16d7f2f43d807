"""The filters of the device list as chips, and the form that sets them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

from apidevices import listing, tokens
from apidevices.admin.list_request import ListRequest
from apidevices.database import Database
from apidevices.listing import Choice, Choices

MAX_OPTIONS = 200
"""With more choices than this, the form has a text field with suggestions instead of a menu."""

LABELS = {
    "application": "Application",
    "application_version": "Application version",
    "version_below": "Version below",
    "os": "System",
    "os_version": "System version",
    "manufacturer": "Manufacturer",
    "model": "Model",
    "tag": "Tag",
    "token": "Token",
    "registered_after": "First seen after",
    "active_days": "Active in the last",
    "inactive_days": "Inactive for",
    "no_upload_days": "No upload for",
    "uploaded": "Has uploaded",
    "unnamed": "Without a name",
    "denied": "Blocked with denied requests",
    "shared": "May be several devices",
    "archived": "Archived",
}
"""The names of all filters but search and status, which have fields of their own."""

# Filters that have no meaning without another one.
_DEPENDENT = {"application": "version_below"}


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter that is set. ``url`` is the list without it."""

    name: str
    label: str
    value: str
    url: str


def chips(listed: ListRequest, db: Database) -> Sequence[Chip]:
    """Return the filters that are set, apart from search and status."""
    return list(_chips(listed, db))


def _chips(listed: ListRequest, db: Database) -> Iterator[Chip]:
    for name, value in listed.filters.query:
        if name not in LABELS:
            continue
        changes: dict[str, object] = {name: None}
        if name == "tag":
            changes[name] = [tag for tag in listed.filters.tag if tag != value]
        elif name in _DEPENDENT:
            changes[_DEPENDENT[name]] = None
        yield Chip(name, LABELS[name], _shown(name, value, listed, db), listed.url(**changes))


def _shown(name: str, value: str, listed: ListRequest, db: Database) -> str:
    match name:
        case "token":
            return dict(token_choices(db)).get(value, value)
        case "registered_after":
            moment = listed.filters.registered_after
            return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else value
        case "active_days" | "inactive_days" | "no_upload_days":
            return "1 day" if value == "1" else f"{int(value):,} days"
        case "uploaded" | "unnamed" | "denied" | "shared" | "archived":
            return ""
    return value


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the form whose choices are what the devices report."""

    name: str
    value: str
    groups: Sequence[tuple[str, Sequence[Choice]]]

    @property
    def label(self) -> str:
        """The label of the field."""
        return LABELS[self.name]

    @property
    def is_menu(self) -> bool:
        """Whether the choices fit into a menu."""
        return sum(len(choices) for _, choices in self.groups) <= MAX_OPTIONS

    @property
    def has_value(self) -> bool:
        """Whether the value is one of the choices, or empty."""
        values = {choice.value for choice in chain.from_iterable(group for _, group in self.groups)}
        return not self.value or self.value in values


def fields(listed: ListRequest, db: Database) -> dict[str, Field]:
    """Return the fields of the form that have choices, by the name of their filter."""
    filters = listed.filters
    choices = listing.choices(db, archived=filters.archived)
    fields = {
        name: Field(name, getattr(filters, name), [("", getattr(choices, name))])
        for name in ("application", "os", "os_version", "manufacturer", "model")
    }
    version = filters.application_version
    groups = _versions(choices, filters.application)
    fields["application_version"] = Field("application_version", version, groups)
    return fields


def _versions(choices: Choices, application: str) -> list[tuple[str, Sequence[Choice]]]:
    """Return the versions of one application, or of each one if none is chosen."""
    of_all = choices.application_version.items()
    if application:
        chosen = application.casefold()
        return [("", versions) for name, versions in of_all if name.casefold() == chosen]
    return list(of_all)


def token_choices(db: Database) -> Sequence[tuple[str, str]]:
    """Return the ids and names of all tokens, by name."""
    names = ((str(token.id), token.name) for token in tokens.all_tokens(db))
    return sorted(names, key=lambda pair: pair[1].casefold())


def day_of(moment: datetime | None) -> str:
    """Return the value of a date field, in UTC."""
    return f"{moment:%Y-%m-%d}" if moment else ""
