"""Download devices as CSV or JSON."""

from collections.abc import Iterator
from datetime import datetime

from flask import Response
from flask.typing import ResponseReturnValue

from apidevices import clock, export, state
from apidevices.admin import selection
from apidevices.admin.frame import blueprint


@blueprint.get("/api-devices/export.<any(csv, json):extension>")
def export_devices(extension: str) -> ResponseReturnValue:
    """Download the selected devices; with ``all`` or without a selection, all that match."""
    now = clock.now()
    chunks = export.run(
        state.database(),
        selection.exported(),
        extension,
        sort=selection.sort(),
        actor=state.current().actor(),
        now=now,
    )
    return download(chunks, "api-devices", extension, now)


def download(
    chunks: Iterator[str], subject: str, extension: str, now: datetime
) -> ResponseReturnValue:
    """Respond with chunks as a file, whose name has the subject and the date."""
    response = Response(chunks, mimetype=export.MEDIA_TYPES[extension])
    name = f"{subject}-{now:%Y-%m-%d}.{extension}"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Cache-Control"] = "no-store"
    return response
