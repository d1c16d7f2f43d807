"""Store what the list is filtered and sorted by, and add it to the activity indexes.

Triggers keep it up to date, so that servers of older versions can still write devices.

Revision ID: 0012
Revises: 0011
"""

from collections.abc import Callable, Mapping, Sequence

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

DEVICES = "apidevices_devices"
ACTIVITY = "apidevices_device_activity"
DETAILS = "apidevices_details"
KEYS = "apidevices_device_keys"
FIRST_SEEN = "apidevices_devices_first_seen"
Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Time = sa.DateTime(timezone=True)
ByCodePoint = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

FIELDS = ("application", "application_version", "os", "os_version", "manufacturer", "model")
FIELD_LIST = ", ".join(FIELDS)
STATUSES = (("active", "blocked = 0", "NOT blocked"), ("blocked", "blocked = 1", "blocked"))
ORDER: Sequence[str | sa.TextClause] = [
    sa.text("last_activity_at DESC"),
    sa.text("device_id DESC"),
    "search_key",
]


def upgrade() -> None:
    op.create_table(
        DETAILS,
        sa.Column("id", Id, autoincrement=True, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        *(sa.Column(field, sa.String(length=255), nullable=True) for field in FIELDS),
        sa.PrimaryKeyConstraint("id", name=op.f(f"{DETAILS}_pkey")),
        sa.UniqueConstraint("key", name=op.f(f"{DETAILS}_key_key")),
    )
    op.create_table(
        KEYS,
        sa.Column("device_id", Id, nullable=False),
        sa.Column("details_id", Id, nullable=False),
        sa.Column("sort_key", ByCodePoint, nullable=False),
        sa.Column("first_seen_at", Time, nullable=False),
        sa.PrimaryKeyConstraint("device_id", name=op.f(f"{KEYS}_pkey")),
        sa.ForeignKeyConstraint(
            ["device_id"],
            [f"{DEVICES}.id"],
            name=op.f(f"{KEYS}_device_id_fkey"),
            ondelete="CASCADE",
        ),
    )
    drop_activity_indexes()
    op.add_column(ACTIVITY, sa.Column("details_id", Id, nullable=True))
    if op.get_bind().dialect.name == "sqlite":
        run(ON_SQLITE, sqlite_parts())
    else:
        run(ON_POSTGRESQL, postgresql_parts())
    op.create_index(f"{DETAILS}_application", DETAILS, ["application", "application_version"])
    for field in ("os", "manufacturer", "model"):
        op.create_index(f"{DETAILS}_{field}", DETAILS, [field])
    op.create_index(f"{KEYS}_details", KEYS, ["details_id", "device_id"])
    op.create_index(f"{KEYS}_name", KEYS, ["sort_key", "device_id", "details_id"])
    op.create_index(f"{KEYS}_first_seen", KEYS, ["first_seen_at", "device_id", "details_id"])
    op.drop_index(FIRST_SEEN, DEVICES)
    create_activity_indexes([*ORDER, "details_id", "last_upload_at"])


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for name in ("insert", "details", "keys", "activity"):
            op.execute(f"DROP TRIGGER apidevices_list_{name}")
    else:
        for name, table in (("insert", DEVICES), ("update", DEVICES), ("activity", ACTIVITY)):
            op.execute(f"DROP TRIGGER apidevices_list_{name} ON {table}")
            op.execute(f"DROP FUNCTION apidevices_list_{name}")
        op.execute("DROP FUNCTION apidevices_details_id")
    drop_activity_indexes()
    op.drop_column(ACTIVITY, "details_id")
    create_activity_indexes(ORDER)
    op.create_index(FIRST_SEEN, DEVICES, ["first_seen_at", "id"])
    op.drop_table(KEYS)
    op.drop_table(DETAILS)


def run(statements: Sequence[str], parts: Mapping[str, str]) -> None:
    for statement in statements:
        # SQLAlchemy would read ":=" as a parameter.
        op.execute(sa.text(statement.format(**parts).replace(":=", r"\:=")))


def drop_activity_indexes() -> None:
    for name, _, _ in STATUSES:
        op.drop_index(f"{ACTIVITY}_{name}", ACTIVITY)


def create_activity_indexes(columns: Sequence[str | sa.TextClause]) -> None:
    for name, on_sqlite, on_postgresql in STATUSES:
        op.create_index(
            f"{ACTIVITY}_{name}",
            ACTIVITY,
            columns,
            sqlite_where=sa.text(on_sqlite),
            postgresql_where=sa.text(on_postgresql),
        )


def common_parts(key: Callable[[str], str], sort_key: Callable[[str], str]) -> dict[str, str]:
    """Return the parts of statements that depend on the names of the details."""
    return {
        "fields": FIELD_LIST,
        "new_fields": ", ".join(f"new.{field}" for field in FIELDS),
        **{f"{row}_key": key(row) for row in ("device", "old", "new")},
        **{f"{row}_sort_key": sort_key(row) for row in ("device", "new")},
    }


def key_text(row: str, separator: str) -> str:
    """Return the SQL for all details as one text. Details contain no control characters."""
    return f" || {separator} || ".join(f"coalesce({row}.{field}, '')" for field in FIELDS)


def sqlite_parts() -> dict[str, str]:
    def sort_key(row: str) -> str:
        end = f"instr({row}.search_key || char(10), char(10)) - 1"
        return f"substr({row}.search_key, 1, min({end}, 255))"

    parts = common_parts(lambda row: key_text(row, "char(1)"), sort_key)
    return parts | {"add_details": ADD_DETAILS.format(**parts)}


def postgresql_parts() -> dict[str, str]:
    def key(row: str) -> str:
        # A hash, because index entries can have at most 2,704 bytes.
        return f"encode(sha256(convert_to({key_text(row, 'chr(1)')}, 'UTF8')), 'hex')"

    parts = common_parts(key, lambda row: f"left(split_part({row}.search_key, chr(10), 1), 255)")
    return parts | {
        "device_fields": parts["new_fields"].replace("new.", "device."),
        "old_fields": parts["new_fields"].replace("new.", "old."),
    }


FILL_DETAILS = """
    INSERT INTO apidevices_details (key, {fields})
    SELECT {device_key}, {fields}
    FROM (SELECT DISTINCT {fields} FROM apidevices_devices) AS device
"""
FILL_KEYS = """
    INSERT INTO apidevices_device_keys (device_id, details_id, sort_key, first_seen_at)
    SELECT device.id, details.id, {device_sort_key}, device.first_seen_at
    FROM apidevices_devices AS device
    JOIN apidevices_details AS details ON details.key = {device_key}
    ORDER BY device.id
"""

ADD_DETAILS = """
    INSERT INTO apidevices_details (key, {fields})
    SELECT {new_key}, {new_fields}
    WHERE NOT EXISTS (SELECT 1 FROM apidevices_details WHERE key = {new_key});
"""
ON_SQLITE = (
    FILL_DETAILS,
    FILL_KEYS,
    """
    UPDATE apidevices_device_activity SET details_id = (
        SELECT known.details_id FROM apidevices_device_keys AS known
        WHERE known.device_id = apidevices_device_activity.device_id
    )
    """,
    """
    CREATE TRIGGER apidevices_list_insert AFTER INSERT ON apidevices_devices BEGIN
        {add_details}
        INSERT INTO apidevices_device_keys (device_id, details_id, sort_key, first_seen_at)
        SELECT new.id, id, {new_sort_key}, new.first_seen_at
        FROM apidevices_details WHERE key = {new_key};
    END
    """,
    """
    CREATE TRIGGER apidevices_list_details AFTER UPDATE OF {fields} ON apidevices_devices
    WHEN {old_key} <> {new_key} BEGIN
        {add_details}
        UPDATE apidevices_device_keys SET details_id = (
            SELECT id FROM apidevices_details WHERE key = {new_key}
        ) WHERE device_id = new.id;
        UPDATE apidevices_device_activity SET details_id = (
            SELECT details_id FROM apidevices_device_keys WHERE device_id = new.id
        ) WHERE device_id = new.id;
        DELETE FROM apidevices_details WHERE key = {old_key} AND NOT EXISTS (
            SELECT 1 FROM apidevices_device_keys WHERE details_id = apidevices_details.id
        );
    END
    """,
    """
    CREATE TRIGGER apidevices_list_keys
    AFTER UPDATE OF search_key, first_seen_at ON apidevices_devices BEGIN
        UPDATE apidevices_device_keys
        SET sort_key = {new_sort_key}, first_seen_at = new.first_seen_at
        WHERE device_id = new.id;
    END
    """,
    """
    CREATE TRIGGER apidevices_list_activity AFTER INSERT ON apidevices_device_activity BEGIN
        UPDATE apidevices_device_activity SET details_id = (
            SELECT details_id FROM apidevices_device_keys WHERE device_id = new.device_id
        ) WHERE device_id = new.device_id;
    END
    """,
)

ON_POSTGRESQL = (
    FILL_DETAILS,
    FILL_KEYS,
    # An update of all rows would double the size of the table and its indexes.
    """
    CREATE TEMPORARY TABLE apidevices_new_activity AS
    SELECT activity.device_id, blocked, last_active_at, last_upload_at, last_activity_at,
        denied_count, last_denied_at, search_key, last_denied_address, last_denied_token_id,
        known.details_id
    FROM apidevices_device_activity AS activity
    JOIN apidevices_device_keys AS known ON known.device_id = activity.device_id
    """,
    "TRUNCATE apidevices_device_activity",
    """
    INSERT INTO apidevices_device_activity (
        device_id, blocked, last_active_at, last_upload_at, last_activity_at, denied_count,
        last_denied_at, search_key, last_denied_address, last_denied_token_id, details_id
    )
    SELECT * FROM apidevices_new_activity ORDER BY device_id
    """,
    "DROP TABLE apidevices_new_activity",
    """
    CREATE FUNCTION apidevices_details_id(device apidevices_devices) RETURNS bigint
    LANGUAGE plpgsql AS $$
    DECLARE
        wanted text := {device_key};
        known bigint;
    BEGIN
        LOOP -- concurrent transactions may insert the row and delete it again
            -- The lock keeps others from deleting the row as unused.
            SELECT id INTO known FROM apidevices_details WHERE key = wanted FOR KEY SHARE;
            EXIT WHEN FOUND;
            INSERT INTO apidevices_details (key, {fields}) VALUES (wanted, {device_fields})
            ON CONFLICT (key) DO NOTHING RETURNING id INTO known;
            EXIT WHEN FOUND;
        END LOOP;
        RETURN known;
    END
    $$
    """,
    """
    CREATE FUNCTION apidevices_list_insert() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO apidevices_device_keys (device_id, details_id, sort_key, first_seen_at)
        VALUES (new.id, apidevices_details_id(new), {new_sort_key}, new.first_seen_at);
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE FUNCTION apidevices_list_update() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        known bigint;
        former bigint := (SELECT details_id FROM apidevices_device_keys WHERE device_id = new.id);
    BEGIN
        IF (new.search_key, new.first_seen_at)
            IS DISTINCT FROM (old.search_key, old.first_seen_at)
        THEN
            UPDATE apidevices_device_keys
            SET sort_key = {new_sort_key}, first_seen_at = new.first_seen_at
            WHERE device_id = new.id;
        END IF;
        IF ({new_fields}) IS DISTINCT FROM ({old_fields}) THEN
            known := apidevices_details_id(new);
            UPDATE apidevices_device_keys SET details_id = known WHERE device_id = new.id;
            UPDATE apidevices_device_activity SET details_id = known WHERE device_id = new.id;
            PERFORM FROM apidevices_details WHERE id = former FOR UPDATE SKIP LOCKED;
            IF FOUND THEN -- a new statement, which sees what was committed before the lock
                DELETE FROM apidevices_details WHERE id = former AND NOT EXISTS (
                    SELECT 1 FROM apidevices_device_keys WHERE details_id = former
                );
            END IF;
        END IF;
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE FUNCTION apidevices_list_activity() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        new.details_id := (
            SELECT details_id FROM apidevices_device_keys WHERE device_id = new.device_id
        );
        RETURN new;
    END
    $$
    """,
    """
    CREATE TRIGGER apidevices_list_insert AFTER INSERT ON apidevices_devices
    FOR EACH ROW EXECUTE FUNCTION apidevices_list_insert()
    """,
    """
    CREATE TRIGGER apidevices_list_update
    AFTER UPDATE OF {fields}, search_key, first_seen_at ON apidevices_devices
    FOR EACH ROW EXECUTE FUNCTION apidevices_list_update()
    """,
    """
    CREATE TRIGGER apidevices_list_activity BEFORE INSERT ON apidevices_device_activity
    FOR EACH ROW EXECUTE FUNCTION apidevices_list_activity()
    """,
)
