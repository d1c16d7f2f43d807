"""Settings > Overview: figures of all devices, each with a link to the devices that it counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import request, url_for
from flask.typing import ResponseReturnValue

from apidevices import clock, overview, state
from apidevices.admin.frame import blueprint
from apidevices.admin.htmx import wants_fragment
from apidevices.admin.list_request import ListRequest
from apidevices.listing import Filters
from apidevices.overview import PERIODS, SPREAD_DAYS, Counted, Group, Rest, UploadDay
from apidevices.rendering import render

MAX_GROUPS = 6
MAX_BARS = 8
"""How many applications or systems the page shows, and versions of each."""

CHARTS = (30, 90)
"""For how many days the page can show uploads; the first is the default."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A number of devices. ``url`` is the list of them, if the list has filters for them."""

    label: str | None
    devices: int
    url: str | None = None
    percent: float = 0


@dataclass(frozen=True, slots=True)
class Bars:
    """The devices with one application or system, and its versions as parts of them."""

    whole: Figure
    versions: Sequence[Figure]


@dataclass(frozen=True, slots=True)
class Column:
    """A day in the chart of uploads. ``percent`` is its height."""

    day: UploadDay
    percent: float


@blueprint.get("/api-devices/overview", endpoint="overview")
def show_overview() -> ResponseReturnValue:
    """Show the overview, or that it is being counted for the first time."""
    now = clock.now()
    days = max(CHARTS) if request.args.get("days") == str(max(CHARTS)) else CHARTS[0]
    counted = overview.latest(state.current().overview, now)
    template = "overview/_overview.html" if wants_fragment() else "overview/page.html"
    return render(
        template,
        now=now,
        counted=counted,
        days=days,
        charts={each: _url(each) for each in CHARTS},
        poll=_url(days, waiting=1),
        **({} if counted is None else _context(counted, days)),
    )


def _url(days: int, **parameters: Any) -> str:
    shown = None if days == CHARTS[0] else days
    return url_for(".overview", days=shown, **parameters)


def _context(counted: Counted, days: int) -> dict[str, Any]:
    found, filters = counted.overview, overview.filters(counted.taken_at)

    def figure(name: str, devices: int) -> Figure:
        return Figure(name, devices, _list_url(filters[name]))

    uploads = found.uploads[-days:]
    most = max(uploads, key=lambda each: each.uploads)
    return {
        **{
            name: figure(name, getattr(found, name))
            for name in ("total", "archived", "blocked", "denied", "no_upload", "stopped_uploading")
        },
        "periods": PERIODS,
        "activity": {
            name: [figure(f"{name}_{each}", getattr(found.period(each), name)) for each in PERIODS]
            for name in ("active", "new", "gone")
        },
        "spreads": [
            (title, *_bars(groups, others, field))
            for title, groups, others, field in (
                ("Applications", found.applications, found.other_applications, "application"),
                ("Systems", found.systems, found.other_systems, "os"),
            )
        ],
        "spread_days": SPREAD_DAYS,
        "columns": [Column(each, _percent(each.uploads, most.uploads)) for each in uploads],
        "busiest": most,
    }


def _bars(groups: Sequence[Group], others: Rest, field: str) -> tuple[Sequence[Bars], Rest]:
    """Return the bars of the most common groups, and what is left out."""
    rare = overview.rest(groups[MAX_GROUPS:])
    others = Rest(values=others.values + rare.values, devices=others.devices + rare.devices)
    return [_group_bars(group, field) for group in groups[:MAX_GROUPS]], others


def _group_bars(group: Group, field: str) -> Bars:
    def url(**values: str) -> str:
        return _list_url(
            Filters.model_validate({field: group.name, "active_days": SPREAD_DAYS, **values})
        )

    is_named = group.name is not None
    most = sorted(group.versions, key=lambda each: -each.devices)[:MAX_BARS]
    versions = [
        Figure(
            each.version,
            each.devices,
            url(**{f"{field}_version": each.version}) if is_named and each.version else None,
            _percent(each.devices, group.devices),
        )
        for each in group.versions
        if each in most
    ]
    if values := len(group.versions) - len(most) + group.other_versions.values:
        devices = group.devices - sum(each.devices for each in most)
        label = "1 other version" if values == 1 else f"{values:,} other versions"
        versions.append(Figure(label, devices, None, _percent(devices, group.devices)))
    return Bars(Figure(group.name, group.devices, url() if is_named else None), versions)


def _list_url(filters: Filters) -> str:
    return ListRequest(filters).url()


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 1) if whole else 0
