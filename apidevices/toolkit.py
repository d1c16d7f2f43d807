"""Additional names for applications that extend API Devices itself.

The standalone application uses them to add its own tables, API routes, pages and commands. Host
applications need only the names in ``apidevices``.
"""

from apidevices import audit, clock, devices, limits, metrics, tokens
from apidevices.activity import ActivityBuffer, BufferLoad
from apidevices.admin.frame import harden
from apidevices.admin.htmx import is_htmx
from apidevices.admin.messages import status_response
from apidevices.api.description import WITH_BODY, Tag, described
from apidevices.api.requests import MAX_BODY, read_body
from apidevices.calls import bearer_token
from apidevices.cli import Group, commands, existing_database, fail, print_table
from apidevices.config import PREFIX as SETTING_PREFIX
from apidevices.database import (
    LOCK_TIMEOUT,
    Database,
    engine_options,
    is_unavailable,
    prepare,
    sqlite_warning,
)
from apidevices.database.files import sqlite_file
from apidevices.errors import (
    APIDevicesError,
    ConfigError,
    Conflict,
    DeviceNotFound,
    InvalidInput,
    LimitReached,
)
from apidevices.gate import AsyncGate, Gate
from apidevices.identity import DEFAULT_HEADERS, DeviceIdentity
from apidevices.migration import is_current as is_branch_current
from apidevices.migration import upgrade as upgrade_branch
from apidevices.models import PREFIX as TABLE_PREFIX
from apidevices.models import ApiToken, Base, Id, UTCDateTime
from apidevices.paths import MIGRATIONS
from apidevices.problems import (
    DeviceDeleted,
    DeviceIdRequired,
    InsufficientScope,
    Problem,
    RateLimited,
    TokenInvalid,
    TokenMissing,
    Unavailable,
    as_http_error,
    as_problem,
    has_default_description,
)
from apidevices.rendering import render
from apidevices.representation import DeviceJson, ResponseBody, Time, device_json, etag
from apidevices.request_hook import current_caller
from apidevices.state import State, database
from apidevices.state import current as current_state
from apidevices.text import MAX_LENGTH

__all__ = [
    "DEFAULT_HEADERS",
    "LOCK_TIMEOUT",
    "MAX_BODY",
    "MAX_LENGTH",
    "MIGRATIONS",
    "SETTING_PREFIX",
    "TABLE_PREFIX",
    "WITH_BODY",
    "APIDevicesError",
    "ActivityBuffer",
    "ApiToken",
    "AsyncGate",
    "Base",
    "BufferLoad",
    "ConfigError",
    "Conflict",
    "Database",
    "DeviceDeleted",
    "DeviceIdRequired",
    "DeviceIdentity",
    "DeviceJson",
    "DeviceNotFound",
    "Gate",
    "Group",
    "Id",
    "InsufficientScope",
    "InvalidInput",
    "LimitReached",
    "Problem",
    "RateLimited",
    "ResponseBody",
    "State",
    "Tag",
    "Time",
    "TokenInvalid",
    "TokenMissing",
    "UTCDateTime",
    "Unavailable",
    "as_http_error",
    "as_problem",
    "audit",
    "bearer_token",
    "clock",
    "commands",
    "current_caller",
    "current_state",
    "database",
    "described",
    "device_json",
    "devices",
    "engine_options",
    "etag",
    "existing_database",
    "fail",
    "harden",
    "has_default_description",
    "is_branch_current",
    "is_htmx",
    "is_unavailable",
    "limits",
    "metrics",
    "prepare",
    "print_table",
    "read_body",
    "render",
    "sqlite_file",
    "sqlite_warning",
    "status_response",
    "tokens",
    "upgrade_branch",
]
