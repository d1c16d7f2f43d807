"""Additional names for applications that extend API Devices itself.

The standalone application uses them to add its own tables, API routes, pages and commands. Host
applications need only the names in ``apidevices``.
"""

from apidevices import audit, clock, devices, limits, metrics, tokens, upkeep
from apidevices.activity import ActivityBuffer, BufferLoad
from apidevices.admin.frame import harden, mark_authorized
from apidevices.admin.htmx import is_htmx, is_poll
from apidevices.admin.messages import MESSAGES, status_response
from apidevices.api.description import WITH_BODY, Tag, described
from apidevices.api.requests import MAX_BODY, read_body
from apidevices.calls import bearer_token
from apidevices.cli import (
    Group,
    as_json,
    audit_args,
    commands,
    describe_database_error,
    existing_database,
    fail,
    print_json,
    print_table,
    time_text,
)
from apidevices.clock import rfc3339
from apidevices.config import MAX_DAYS
from apidevices.config import PREFIX as SETTING_PREFIX
from apidevices.database import (
    LOCK_TIMEOUT,
    Database,
    DatabaseUnavailable,
    engine_options,
    is_unavailable,
    log_unavailable,
    prepare,
    retried_with_reserve,
    sqlite_warning,
)
from apidevices.database.files import Identity as FileIdentity
from apidevices.database.files import sqlite_file
from apidevices.database.reserve import NO_RESERVE
from apidevices.downgrade import Downgrade
from apidevices.downgrade import plan as plan_downgrade
from apidevices.errors import (
    APIDevicesError,
    ConfigError,
    Conflict,
    DeviceNotFound,
    InvalidInput,
    LimitReached,
    NotFound,
)
from apidevices.gate import AsyncGate, Gate
from apidevices.identity import DEFAULT_HEADERS, DeviceIdentity
from apidevices.limiter import Limiter, Rule
from apidevices.limits import MAX_NUMBER as MAX_LIMIT
from apidevices.migration import is_current as is_branch_current
from apidevices.migration import upgrade as upgrade_branch
from apidevices.models import PREFIX as TABLE_PREFIX
from apidevices.models import ApiToken, Base, Id, UTCDateTime
from apidevices.networks import MAX_LENGTH as MAX_NETWORK
from apidevices.networks import network_of
from apidevices.paths import MIGRATIONS
from apidevices.problems import (
    DeviceDeleted,
    DeviceIdRequired,
    InsufficientScope,
    Problem,
    TokenInvalid,
    TokenMissing,
    Unavailable,
    add_api_headers,
    as_http_error,
    as_problem,
    has_default_description,
)
from apidevices.rendering import render
from apidevices.representation import OwnDeviceJson, ResponseBody, Time, etag, own_device_json
from apidevices.request_hook import current_caller
from apidevices.state import State, database
from apidevices.state import current as current_state
from apidevices.text import MAX_LENGTH

__all__ = [
    "DEFAULT_HEADERS",
    "LOCK_TIMEOUT",
    "MAX_BODY",
    "MAX_DAYS",
    "MAX_LENGTH",
    "MAX_LIMIT",
    "MAX_NETWORK",
    "MESSAGES",
    "MIGRATIONS",
    "NO_RESERVE",
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
    "DatabaseUnavailable",
    "DeviceDeleted",
    "DeviceIdRequired",
    "DeviceIdentity",
    "DeviceNotFound",
    "Downgrade",
    "FileIdentity",
    "Gate",
    "Group",
    "Id",
    "InsufficientScope",
    "InvalidInput",
    "LimitReached",
    "Limiter",
    "NotFound",
    "OwnDeviceJson",
    "Problem",
    "ResponseBody",
    "Rule",
    "State",
    "Tag",
    "Time",
    "TokenInvalid",
    "TokenMissing",
    "UTCDateTime",
    "Unavailable",
    "add_api_headers",
    "as_http_error",
    "as_json",
    "as_problem",
    "audit",
    "audit_args",
    "bearer_token",
    "clock",
    "commands",
    "current_caller",
    "current_state",
    "database",
    "describe_database_error",
    "described",
    "devices",
    "engine_options",
    "etag",
    "existing_database",
    "fail",
    "harden",
    "has_default_description",
    "is_branch_current",
    "is_htmx",
    "is_poll",
    "is_unavailable",
    "limits",
    "log_unavailable",
    "mark_authorized",
    "metrics",
    "network_of",
    "own_device_json",
    "plan_downgrade",
    "prepare",
    "print_json",
    "print_table",
    "read_body",
    "render",
    "retried_with_reserve",
    "rfc3339",
    "sqlite_file",
    "sqlite_warning",
    "status_response",
    "time_text",
    "tokens",
    "upgrade_branch",
    "upkeep",
]
