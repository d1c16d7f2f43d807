"""The SQL statement of the lookup on PostgreSQL, prepared or not."""

import logging
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

logger = logging.getLogger(__name__)

_SQLSTATE = ord("C")  # libpq's PG_DIAG_SQLSTATE
_NAME_ERRORS = (
    b"26000",  # invalid_sql_statement_name: this server connection has not prepared the statement
    b"42P05",  # duplicate_prepared_statement: another client has prepared it on this one
)


class Statement:
    """A statement that is prepared on each connection, unless a connection pooler prevents that.

    PgBouncer's transaction pooling runs each query on any server connection. Before version 1.21,
    prepared statements stay on the server connection that happened to prepare them. The first
    error that this causes ends the use of prepared statements for all connections.

    Args:
        sql: The statement.
        formats: Each parameter's format, 0 for text or 1 for binary.
    """

    def __init__(self, sql: bytes, formats: Sequence[int]) -> None:
        self._sql = sql
        self._formats = formats
        # Depends on the SQL: behind a pooler, the name must not run another version's statement.
        self._name = b"apidevices_" + sha256(sql).hexdigest()[:16].encode()
        self._is_prepared = True

    def prepare(self, pgconn: Any) -> Any:
        """Prepare the statement on a connection. Return the result, or None if not needed."""
        return pgconn.prepare(self._name, self._sql) if self._is_prepared else None

    def execute(self, pgconn: Any, parameters: Sequence[bytes | None]) -> Any:
        """Run the statement in one round trip, releasing the GIL once."""
        if self._is_prepared:
            return pgconn.exec_prepared(self._name, parameters, self._formats)
        return pgconn.exec_params(self._sql, parameters, None, self._formats)

    def send(self, pgconn: Any, parameters: Sequence[bytes | None]) -> None:
        """Send the statement without waiting for its result."""
        if self._is_prepared:
            pgconn.send_query_prepared(self._name, parameters, self._formats)
        else:
            pgconn.send_query_params(self._sql, parameters, None, self._formats)

    def stop_preparing(self, result: Any) -> bool:
        """Stop preparing the statement if this result shows that a pooler prevents it.

        Return whether the statement works if it is run again.
        """
        if result.error_field(_SQLSTATE) not in _NAME_ERRORS:
            return False
        if self._is_prepared:
            self._is_prepared = False
            logger.warning(
                "A connection pooler does not keep prepared statements, so PostgreSQL plans each"
                " lookup again. To save that time, use PgBouncer 1.21 or later with"
                " max_prepared_statements above 0, or session pooling."
            )
        return True
