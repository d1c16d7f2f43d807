"""Compare the final state with the acknowledged operations.

Devices and histories are read with the command line and the API. SQL is only used for data that
these don't expose, and to check that the tables are consistent.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, create_engine, text

from apidevices.database import engine_options
from apidevices.standalone.settings import ServerSettings
from harness.real_server import RealServer
from tests.conftest import DEVICES, as_device
from tests.replay import details, replay
from tests.torture.ledger import DeviceRecord, Ledger

# Each query returns no rows from a consistent database.
INCONSISTENCIES = {
    "an identifier is stored twice": """
        SELECT identifier FROM apidevices_devices GROUP BY identifier HAVING count(*) > 1""",
    "a device has no activity": """
        SELECT d.id FROM apidevices_devices d
        LEFT JOIN apidevices_device_activity a ON a.device_id = d.id WHERE a.device_id IS NULL""",
    "a device has used no token": """
        SELECT d.id FROM apidevices_devices d
        LEFT JOIN apidevices_device_tokens t ON t.device_id = d.id WHERE t.device_id IS NULL""",
    "a device does not have exactly one registration": """
        SELECT d.id FROM apidevices_devices d
        LEFT JOIN apidevices_device_history h ON h.device_id = d.id AND h.kind = 'registered'
        GROUP BY d.id HAVING count(h.id) <> 1""",
    "the copied 'blocked' flag is wrong": """
        SELECT d.id FROM apidevices_devices d
        JOIN apidevices_device_activity a ON a.device_id = d.id
        WHERE a.blocked <> (d.blocked_at IS NOT NULL)""",
    "the copied 'archived' flag is wrong": """
        SELECT k.device_id FROM apidevices_device_keys k
        JOIN apidevices_device_activity a ON a.device_id = k.device_id
        WHERE k.archived <> (a.archived_at IS NOT NULL)""",
    "an archived device has no entry about it": """
        SELECT a.device_id FROM apidevices_device_activity a
        LEFT JOIN apidevices_device_history h ON h.device_id = a.device_id AND h.kind = 'archived'
        WHERE a.archived_at IS NOT NULL AND h.id IS NULL""",
    "'last_activity_at' is wrong": """
        SELECT d.id FROM apidevices_devices d
        JOIN apidevices_device_activity a ON a.device_id = d.id
        WHERE a.last_activity_at <> coalesce(d.blocked_at, a.last_active_at)""",
    "an upload was stored twice": """
        SELECT body FROM apidevices_uploads GROUP BY body HAVING count(*) > 1""",
    **{
        f"a row of {table} has no device": f"""
            SELECT t.device_id FROM apidevices_{table} t
            LEFT JOIN apidevices_devices d ON d.id = t.device_id WHERE d.id IS NULL"""  # noqa: S608 - constants
        for table in ("device_activity", "device_history", "device_tokens", "uploads")
    },
}

AUDIT_ACTIONS = {
    "renames": "device.renamed",
    "blocks": "device.blocked",
    "unblocks": "device.unblocked",
}


class Audit:
    """Compares a ledger with a server and its database after the load has ended.

    Args:
        ledger: The acknowledged operations.
        allowed_age: Seconds of activity before a kill that may be lost.
    """

    def __init__(self, ledger: Ledger, allowed_age: float) -> None:
        self.lost: list[str] = []
        self.duplicates: list[str] = []
        self.inconsistencies: list[str] = []
        self.lost_calls = 0
        self.oldest_lost = 0.0
        self._ledger = ledger
        self._allowed_age = allowed_age

    def check_server(self, server: RealServer, token: str) -> None:
        """Compare the ledger with the devices and histories of a running, idle server."""
        listed = server.devices()
        positions = [(device["last_activity_at"], device["id"]) for device in listed]
        if positions != sorted(positions, reverse=True):
            self.inconsistencies.append("the list is not sorted")
        listed += server.devices("--archived")
        found = {device["identifier"]: device for device in listed}
        if len(found) < len(listed):
            self.duplicates.append("a device is listed twice")
        for record in self._ledger.devices:
            device = found.pop(record.identifier, None)
            if device is not None:
                path = f"{DEVICES}/{device['id']}/history"
                self._compare(record, device, _all_pages(server, token, path, "history")[::-1])
                self._check_search(server, token, device)
            elif not record.details.allows(None):
                self.lost.append(f"the registration of {record.identifier}")
        self.inconsistencies += [f"no client registered {identifier}" for identifier in found]

    def check_database(self, url: str) -> None:
        """Compare the ledger with the database. ``url`` has the format of ``DATABASE_URL``."""
        checked = ServerSettings(database_url=url).url
        engine = create_engine(checked, **engine_options(checked, 1))
        with engine.connect() as connection:
            self._compare_uploads(connection)
            self._compare_audit_log(connection)
            for inconsistency, query in INCONSISTENCIES.items():
                if rows := connection.execute(text(query)).fetchmany(5):
                    self.inconsistencies.append(f"{inconsistency}: {rows}")
            check = check_sqlite if engine.dialect.name == "sqlite" else check_postgresql
            self.inconsistencies += check(connection)
        engine.dispose()

    def _compare(
        self, record: DeviceRecord, device: dict[str, Any], history: list[dict[str, Any]]
    ) -> None:
        identifier = record.identifier
        if not record.details.allows(details(device)):
            self.lost.append(f"details of {identifier}: {details(device)}, not {record.details}")
        if not record.name.allows(device["name"]):
            self.lost.append(f"name of {identifier}: {device['name']}, not {record.name}")
        if not record.blocked.allows(device["status"] == "blocked"):
            self.lost.append(f"status of {identifier}: {device['status']}, not {record.blocked}")
        try:
            replayed = replay(history)
        except AssertionError as error:
            self.inconsistencies.append(f"history of {identifier}: {error}")
        else:
            if replayed != details(device):
                self.inconsistencies.append(f"history of {identifier} replays to {replayed}")
        stored = Counter(
            (field, change["new"])
            for entry in history
            for field, change in entry["changes"].items()
        )
        missing = record.acknowledged_values - stored.keys()
        self.lost += [f"history of {identifier}: {value}" for value in missing]
        repeated = [value for value, times in stored.items() if times > 1]
        self.duplicates += [f"history of {identifier}: {value}" for value in repeated]
        self._compare_activity(record, device["last_active_at"])

    def _check_search(self, server: RealServer, token: str, device: dict[str, Any]) -> None:
        archived = "&archived=1" if device["archived_at"] else ""
        path = f"{DEVICES}?name={device['display_name']}{archived}"
        if device not in _all_pages(server, token, path, "devices"):
            self.inconsistencies.append(f"the search does not find {device['display_name']}")

    def _compare_activity(self, record: DeviceRecord, last_active_at: str) -> None:
        for call in record.calls:
            if call.started <= datetime.fromisoformat(last_active_at).timestamp():
                continue
            age = self._ledger.age_when_killed(call)
            self.lost_calls += 1
            self.oldest_lost = max(self.oldest_lost, age or 0.0)
            if age is None or age > self._allowed_age:
                when = "without a later kill" if age is None else f"{age:.3f} s before a kill"
                self.lost.append(f"activity of {record.identifier}, acknowledged {when}")

    def _compare_uploads(self, connection: Connection) -> None:
        query = """
            SELECT u.id, d.identifier, u.body FROM apidevices_uploads u
            JOIN apidevices_devices d ON d.id = u.device_id"""
        stored = {
            id_: (identifier, body) for id_, identifier, body in connection.execute(text(query))
        }
        for record in self._ledger.devices:
            for id_, body in record.uploads.items():
                if stored.get(id_) != (record.identifier, body):
                    self.lost.append(f"upload {id_} of {record.identifier}")

    def _compare_audit_log(self, connection: Connection) -> None:
        actions: defaultdict[str, Counter[str]] = defaultdict(Counter)
        query = "SELECT subject, action FROM apidevices_audit_log WHERE subject LIKE 'device:%'"
        for subject, action in connection.execute(text(query)):
            actions[subject][action] += 1
        for record in self._ledger.devices:
            for operation, requested in record.requested.items():
                logged = actions[f"device:{record.id}"][AUDIT_ACTIONS[operation]]
                if logged < record.acknowledged[operation]:
                    self.lost.append(f"audit log entry for {operation} of {record.identifier}")
                if logged > requested:
                    self.duplicates.append(
                        f"audit log entry for {operation} of {record.identifier}"
                    )


def check_sqlite(connection: Connection) -> Iterator[str]:
    """Yield the errors that SQLite's own checks report."""
    run = connection.exec_driver_sql
    if (found := run("PRAGMA integrity_check").fetchall()) != [("ok",)]:
        yield f"integrity_check: {found}"
    if found := run("PRAGMA foreign_key_check").fetchall():
        yield f"foreign_key_check: {found}"
    for (table,) in run("SELECT name FROM sqlite_master WHERE sql LIKE '%USING fts5(%'").fetchall():
        run(f"INSERT INTO {table}({table}) VALUES ('integrity-check')")  # noqa: S608 - names from the schema


def check_postgresql(connection: Connection) -> Iterator[str]:
    """Yield the indexes that differ from their table, without amcheck: it may not be installed."""
    run = connection.exec_driver_sql
    for index, table, columns, condition in run(_INDEXES).fetchall():
        found = []
        for use_index in (True, False):
            for method in ("indexscan", "indexonlyscan", "seqscan", "bitmapscan", "sort"):
                run(f"SET enable_{method} = {method.startswith('index') == use_index}")
            query = f"SELECT * FROM {table} WHERE {condition} ORDER BY {columns}"  # noqa: S608 - names from the catalog
            found.append(sorted(map(repr, run(query))))
        if found[0] != found[1]:
            yield f"{index} differs from {table}"


_INDEXES = """
    SELECT i.indexrelid::regclass, i.indrelid::regclass,
        (SELECT string_agg(
            pg_get_indexdef(i.indexrelid, k, true)
            || CASE WHEN i.indoption[k - 1] & 1 = 1 THEN ' DESC' ELSE '' END, ', ' ORDER BY k)
        FROM generate_series(1, i.indnkeyatts) k),
        coalesce(pg_get_expr(i.indpred, i.indrelid), 'true')
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
    WHERE a.amname = 'btree' AND starts_with(i.indrelid::regclass::text, 'apidevices_')"""


def _all_pages(server: RealServer, token: str, path: str, key: str) -> list[dict[str, Any]]:
    """Return the items of all pages, starting at a path."""
    rows: list[dict[str, Any]] = []
    while path:
        page = server.call("GET", path, as_device(token, None)).json
        rows += page[key]
        path = (page["next"] or "").removeprefix(server.url)
    return rows
