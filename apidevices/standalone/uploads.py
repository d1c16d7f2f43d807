"""Data uploads: JSON from devices, stored exactly as received."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import NoReturn

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from apidevices.standalone.models import Upload
from apidevices.standalone.upload_limits import UploadLimits
from apidevices.toolkit import Database, DeviceNotFound, InvalidInput, upkeep

MAX_BYTES = 1024 * 1024
"""Maximum size of an upload."""


def store(
    db: Database,
    body: bytes,
    *,
    device_id: int,
    token_id: int,
    now: datetime,
    limits: UploadLimits | None = None,
) -> Upload:
    """Store an upload. It is durable when this returns.

    Raises:
        InvalidInput: The body is not JSON in UTF-8 (RFC 8259), or nested too deeply.
        LimitReached: A limit is reached. Nothing is stored.
        DeviceNotFound: The device has been deleted or merged since the request was checked.
    """
    if limits is not None:
        limits.check(device_id, token_id, len(body), now)
    upload = Upload(
        device_id=device_id,
        token_id=token_id,
        received_at=now,
        size=len(body),
        body=_decode_json(body),
    )
    try:
        with db.write(essential=False) as session:
            session.add(upload)
            if limits is not None:
                # Last, because on PostgreSQL other uploads with the same token wait from here on.
                session.flush()
                limits.take(session, device_id, token_id, len(body), now)
    except IntegrityError as error:
        raise DeviceNotFound from error
    return upload


def recent(db: Database, device_id: int, limit: int = 10) -> Sequence[Upload]:
    """Return the latest uploads of a device without their bodies, newest first."""
    with db.read() as session:
        return session.scalars(
            select(Upload)
            .where(Upload.device_id == device_id)
            .order_by(Upload.id.desc())
            .limit(limit)
        ).all()


def move(session: Session, device_id: int, into_id: int) -> None:
    """Move the uploads of a device that is merged into another one."""
    moved = update(Upload).where(Upload.device_id == device_id)
    session.connection().execute(moved.values(device_id=into_id))


def retention_task(days: int) -> upkeep.Task:
    """Return the task that deletes uploads after some days; 0 to keep them forever."""
    return upkeep.delete_older(
        "Delete uploads",
        days,
        key=Upload.id,
        time=Upload.received_at,
        size=Upload.size,
        setting="APIDEVICES_KEEP_UPLOADS_DAYS",
    )


def _decode_json(body: bytes) -> str:
    def reject(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not JSON")

    try:
        text = body.decode("utf-8")
        # Only check the syntax: numbers are not converted, so their length doesn't matter.
        json.loads(text, parse_int=str, parse_float=str, parse_constant=reject)
    except RecursionError:
        raise InvalidInput("body", "The JSON is nested too deeply.") from None
    except ValueError as error:
        raise InvalidInput("body", f"The body is not JSON in UTF-8: {error}.") from None
    return text
