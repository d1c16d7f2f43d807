"""Which devices to change with one call."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy.orm import Session

from apidevices import listing
from apidevices.errors import Conflict
from apidevices.listing import Filters


class Matching(NamedTuple):
    """The devices that match filters; ``expected`` is their number, or None for any number."""

    filters: Filters
    expected: int | None


Chosen = Collection[int] | Matching
"""The devices to change: their ids, or filters."""


def ids_of(session: Session, chosen: Chosen) -> Sequence[int]:
    """Return the ids of the chosen devices in order.

    Raises:
        Conflict: The filters match another number of devices than expected.
    """
    if not isinstance(chosen, Matching):
        return sorted(chosen)
    ids = listing.matching_ids(session, chosen.filters)
    if chosen.expected not in (None, len(ids)):
        found = "1 device" if len(ids) == 1 else f"{len(ids)} devices"
        raise Conflict(f"The filter matches {found}, not {chosen.expected}. Nothing was changed.")
    return ids
