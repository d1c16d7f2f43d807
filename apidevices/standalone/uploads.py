"""Data uploads: JSON texts that devices sent, stored as they came."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import NoReturn

from sqlalchemy import select

from apidevices.standalone.models import Upload
from apidevices.toolkit import Database, InvalidInput

MAX_BYTES = 1024 * 1024
"""Size of an upload at most."""


def store(db: Database, body: bytes, *, device_id: int, token_id: int, now: datetime) -> Upload:
    """Store an upload; durable when this returns.

    Raises:
        InvalidInput: The body is not JSON in UTF-8 (RFC 8259).
    """
    upload = Upload(
        device_id=device_id,
        token_id=token_id,
        received_at=now,
        size=len(body),
        body=_decode_json(body),
    )
    with db.write() as session:
        session.add(upload)
    return upload


def recent(db: Database, device_id: int, limit: int = 10) -> Sequence[Upload]:
    """Return a device's last uploads without their bodies, newest first."""
    with db.read() as session:
        return session.scalars(
            select(Upload)
            .where(Upload.device_id == device_id)
            .order_by(Upload.id.desc())
            .limit(limit)
        ).all()


def _decode_json(body: bytes) -> str:
    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not JSON")

    try:
        text = body.decode("utf-8")
        # Only the form is checked: numbers stay text, however long they are.
        json.loads(text, parse_int=str, parse_float=str, parse_constant=refuse)
    except RecursionError:
        raise InvalidInput("body", "The JSON is nested too deeply.") from None
    except ValueError as error:
        raise InvalidInput("body", f"The body is not JSON in UTF-8: {error}.") from None
    return text
