"""Settings > Storage: what is kept, for how long, and how much space it takes."""

from flask import request, url_for
from flask.typing import ResponseReturnValue

from apidevices import clock, state, storage
from apidevices.admin.frame import blueprint
from apidevices.admin.htmx import wants_fragment
from apidevices.rendering import environment, render

DEFAULT_DAYS = 180
"""What the form to archive devices suggests without a stale rule."""


@blueprint.get("/api-devices/storage", endpoint="storage")
def show_storage() -> ResponseReturnValue:
    """Show what is kept, or that it is being counted for the first time."""
    now = clock.now()
    counted = storage.latest(state.current().storage, now)
    template = "storage/_storage.html" if wants_fragment() else "storage/page.html"
    return render(
        template,
        now=now,
        counted=counted,
        poll=url_for(".storage", waiting=1),
        days=request.args.get("inactive_days", type=int)
        or (counted and counted.storage.archive_days)
        or DEFAULT_DAYS,
    )


environment.filters["apidevices_size"] = storage.size_text
