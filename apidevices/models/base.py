"""What all models share: their base class, and the types of columns."""

from datetime import UTC, datetime

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, MetaData, String, Text, TypeDecorator
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from apidevices.text import MAX_LENGTH

PREFIX = "apidevices_"


class Base(DeclarativeBase):
    """The declarative base, separate from the models and metadata of the host application."""

    metadata = MetaData(
        naming_convention={
            "pk": "%(table_name)s_pkey",
            "uq": "%(table_name)s_%(column_0_N_name)s_key",
            "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
            "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        }
    )


class UTCDateTime(TypeDecorator[datetime]):
    """A timezone-aware datetime in UTC: ``timestamptz`` on PostgreSQL, sortable text on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC.

        Raises:
            ValueError: The datetime is naive.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("Can't store a naive datetime. Pass one with a time zone.")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return a timezone-aware datetime in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


MAX_ID = 2**63 - 1
MAX_ADDRESS = 64

# SQLite autoincrements a primary key only if its type is INTEGER.
Id = BigInteger().with_variant(Integer, "sqlite")
Detail = String(MAX_LENGTH)
ByCodePoint = Text().with_variant(Text(collation="C"), "postgresql")


def primary_key() -> Mapped[int]:
    """Return a column for ids that the database assigns."""
    return mapped_column(Id, primary_key=True, autoincrement=True)
