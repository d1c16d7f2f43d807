"""Download devices as CSV or JSON."""

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
    response = Response(chunks, mimetype=export.FORMATS[extension])
    name = f"api-devices-{now:%Y-%m-%d}.{extension}"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Cache-Control"] = "no-store"
    return response
