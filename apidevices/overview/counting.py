"""Count the figures of the overview."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from apidevices import listing
from apidevices.database import Database
from apidevices.listing import Filters
from apidevices.listing.search import fold
from apidevices.listing.versions import version_key
from apidevices.models import FleetDay
from apidevices.overview.figures import Group, Overview, Period, Rest, UploadDay, Version
from apidevices.snapshots import Snapshot

NAME = "overview"
"""The name under which the figures are stored. Change it when their form changes."""

PERIODS = (1, 7, 30)
"""The lengths of the periods, in days."""

GONE_DAYS = 30
"""A device that has not been active for this many days is gone."""

UPLOAD_DAYS = 7
"""A device that was active in this many days, without an upload, does not upload."""

SPREAD_DAYS = 30
"""The versions are those of devices that were active in this many days."""

CHART_DAYS = 90
"""For how many days uploads are counted, today included."""

MAX_GROUPS = 20
MAX_VERSIONS = 50
"""How many applications or systems, and versions of each, are listed. The others are summed up."""


_NAMES = ("active", "new", "gone")


class Counted(NamedTuple):
    """The overview, and the time at which it was right."""

    taken_at: datetime
    overview: Overview


def snapshot(db: Database) -> Snapshot:
    """Return what counts the overview and stores it."""
    return Snapshot(db, NAME, collect)


def latest(stored: Snapshot, now: datetime, patience: float | None = None) -> Counted | None:
    """Return the latest overview, or None if it is being counted for the first time.

    Args:
        stored: The snapshot of the application.
        now: The current time.
        patience: The maximum number of seconds to wait for it; as ``Snapshot.latest`` by default.
    """
    taken = stored.latest(now, patience)
    if taken is None:
        return None
    return Counted(taken.taken_at, Overview.model_validate(taken.figures))


def count(stored: Snapshot, now: datetime) -> Counted:
    """Count the overview now. A million devices take a second or two."""
    return Counted(now, Overview.model_validate(stored.count(now).figures))


def filters(taken_at: datetime) -> Mapping[str, Filters]:
    """Return the filters of the list for the figures that are not about versions.

    Args:
        taken_at: The time at which the figures were right.
    """
    named = {
        "total": Filters(),
        "archived": Filters(archived=True),
        "blocked": Filters(status="blocked"),
        "denied": Filters(denied=True),
        "no_upload": Filters(no_upload_days=UPLOAD_DAYS),
        "stopped_uploading": Filters(no_upload_days=UPLOAD_DAYS, uploaded=True),
    }
    for days in PERIODS:
        named[f"active_{days}"] = Filters(active_days=days)
        named[f"new_{days}"] = Filters(registered_after=taken_at - timedelta(days=days))
        named[f"gone_{days}"] = Filters(inactive_days=GONE_DAYS, active_days=GONE_DAYS + days)
    return named


def collect(session: Session, now: datetime) -> Mapping[str, Any]:
    """Count the figures, and return them as JSON data."""
    counted = dict(listing.totals(session, filters(now), now))
    periods = [
        Period(days=days, **{name: counted.pop(f"{name}_{days}") for name in _NAMES})
        for days in PERIODS
    ]
    fields = ("application", "application_version", "os", "os_version")
    rows = listing.totals_by_details(session, Filters(active_days=SPREAD_DAYS), fields, now)
    applications = _groups((name, version, number) for name, version, _, _, number in rows)
    systems = _groups((name, version, number) for _, _, name, version, number in rows)
    overview = Overview(
        **counted,
        periods=periods,
        applications=applications[:MAX_GROUPS],
        other_applications=rest(applications[MAX_GROUPS:]),
        systems=systems[:MAX_GROUPS],
        other_systems=rest(systems[MAX_GROUPS:]),
        uploads=_uploads(session, now),
    )
    return overview.model_dump(mode="json")


def _uploads(session: Session, now: datetime) -> list[UploadDay]:
    today = now.astimezone(UTC).date()
    days = [today - timedelta(days=ago) for ago in reversed(range(CHART_DAYS))]
    counted = select(FleetDay.day, FleetDay.uploads).where(FleetDay.day >= days[0])
    uploads = {day: number for day, number in session.execute(counted)}
    return [UploadDay(day=day, uploads=uploads.get(day, 0)) for day in days]


def rest(groups: Sequence[Group]) -> Rest:
    """Sum up groups."""
    return Rest(values=len(groups), devices=sum(group.devices for group in groups))


def _groups(rows: Iterable[tuple[str | None, str | None, int]]) -> list[Group]:
    """Sum up the devices by name, without regard to case, and by version."""
    spellings: dict[str | None, Counter[str | None]] = defaultdict(Counter)
    versions: dict[str | None, Counter[str | None]] = defaultdict(Counter)
    for name, version, devices in rows:
        key = None if name is None else fold(name)
        spellings[key][name] += devices
        versions[key][version] += devices
    groups = [_group(_most_common(spellings[key])[0][0], versions[key]) for key in versions]
    return sorted(groups, key=lambda group: (-group.devices, group.name or ""))


def _group(name: str | None, versions: Counter[str | None]) -> Group:
    ordered = sorted(versions.items(), key=lambda pair: _version_order(pair[0]), reverse=True)
    most = set(
        sorted(ordered, key=lambda pair: -pair[1])[:MAX_VERSIONS]
    )  # of equal ones, the newest
    listed = [pair for pair in ordered if pair in most]
    others = [pair for pair in ordered if pair not in most]
    return Group(
        name=name,
        devices=versions.total(),
        versions=[Version(version=version, devices=devices) for version, devices in listed],
        other_versions=Rest(values=len(others), devices=sum(devices for _, devices in others)),
    )


def _most_common(counter: Counter[str | None]) -> list[tuple[str | None, int]]:
    return sorted(counter.items(), key=lambda pair: (-pair[1], pair[0] or ""))


def _version_order(version: str | None) -> tuple[Any, ...]:
    """Return a key that sorts by version; those without a number and null come last."""
    if version is None:
        return (0,)
    key = version_key(version)
    return (1, version) if key is None else (2, key, version)
