"""Network addresses of clients, and from which ones an account has signed in."""

from datetime import datetime

from flask import request
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from apidevices.standalone.models import UserAddress
from apidevices.toolkit import Database, network_of

MAX_PER_ACCOUNT = 20


def client_address() -> str:
    """Return the network that the current request comes from: an IPv4 address or an IPv6 /64."""
    return network_of(request.remote_addr)


def remember(db: Database, session: Session, user_id: int, address: str, now: datetime) -> None:
    """Store that an account has signed in from an address, and forget its oldest addresses."""
    row = UserAddress
    insert = db.insert(row).values(user_id=user_id, address=address, last_used_at=now)
    session.execute(
        insert.on_conflict_do_update(
            index_elements=[row.user_id, row.address], set_={"last_used_at": now}
        )
    )
    kept = (
        select(row.address)
        .where(row.user_id == user_id)
        .order_by(row.last_used_at.desc(), row.address)
        .limit(MAX_PER_ACCOUNT)
    )
    session.execute(delete(row).where(row.user_id == user_id, row.address.not_in(kept)))
