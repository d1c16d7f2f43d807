"""Devices that were merged into others while their activity waited to be written."""

from collections.abc import Collection

from sqlalchemy import Connection, select

from apidevices.database import Database
from apidevices.models import DeviceAlias


def merged_into(db: Database, connection: Connection, ids: Collection[int]) -> dict[int, int]:
    """Return which of some devices were merged: id -> id of the device that they are part of."""
    row = DeviceAlias
    merges = select(row.former_id, row.device_id).where(row.former_id.in_(db.id_list(ids)))
    return {former_id: into_id for former_id, into_id in connection.execute(merges)}
