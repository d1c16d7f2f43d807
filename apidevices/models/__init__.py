"""The database models. All tables and indexes have the prefix ``apidevices_``."""

from apidevices.models.administration import (
    AuditEntry,
    Operation,
    OperationDevice,
    Preferences,
    RateLimit,
    SavedView,
    StoredSnapshot,
)
from apidevices.models.base import MAX_ADDRESS, MAX_ID, PREFIX, Base, Id, UTCDateTime
from apidevices.models.counts import DeviceDay, DeviceDenials, FleetDay
from apidevices.models.devices import Device, DeviceActivity, DeviceAlias, DeviceTag
from apidevices.models.history import REPORTS, ApiToken, DeviceHistory, DeviceToken
from apidevices.models.list_keys import Details, DeviceKeys
from apidevices.models.marks import DeviceMark, MarkKind

__all__ = [
    "MAX_ADDRESS",
    "MAX_ID",
    "PREFIX",
    "REPORTS",
    "ApiToken",
    "AuditEntry",
    "Base",
    "Details",
    "Device",
    "DeviceActivity",
    "DeviceAlias",
    "DeviceDay",
    "DeviceDenials",
    "DeviceHistory",
    "DeviceKeys",
    "DeviceMark",
    "DeviceTag",
    "DeviceToken",
    "FleetDay",
    "Id",
    "MarkKind",
    "Operation",
    "OperationDevice",
    "Preferences",
    "RateLimit",
    "SavedView",
    "StoredSnapshot",
    "UTCDateTime",
]
