"""Compiled statements that all applications in a test process share.

SQLAlchemy compiles each statement once for an engine. Most tests create an application with an
engine of its own, and compiling the same statements again took a quarter of their time.
"""

from typing import Any

from sqlalchemy import Connection, Engine, event

MAX_STATEMENTS = 5_000


class _Statements(dict[tuple[Any, ...], Any]):
    """A cache of compiled statements, which doesn't tell dialects of the same kind apart."""

    def get(self, key: tuple[Any, ...], default: Any = None) -> Any:
        """Return a compiled statement."""
        return super().get(_of_any_engine(key), default)

    def __setitem__(self, key: tuple[Any, ...], compiled: Any) -> None:
        """Store a compiled statement."""
        if len(self) >= MAX_STATEMENTS:
            self.clear()
        super().__setitem__(_of_any_engine(key), compiled)


def _of_any_engine(key: tuple[Any, ...]) -> tuple[Any, ...]:
    dialect, *statement = key
    return type(dialect), *statement


_statements = _Statements()


def share_statements(engine: Engine) -> None:
    """Let an engine use the statements that others of its kind have compiled."""
    event.listen(engine, "engine_connect", _use_statements)


def _use_statements(connection: Connection) -> None:
    connection.execution_options(compiled_cache=_statements)
