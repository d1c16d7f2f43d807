"""Find pairs of devices of which one fell silent as the other began.

Only pairs for which there is no other explanation are found. See ``twins``.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from apidevices.database import Database
from apidevices.listing.versions import version_key
from apidevices.models import (
    Details,
    Device,
    DeviceActivity,
    DeviceHistory,
    DeviceKeys,
    DeviceToken,
)
from apidevices.networks import network_of

ALIVE = timedelta(days=1)
"""How long the new device must have been active."""

GAP = timedelta(hours=3)
"""The longest time between the last request of the old device and the first of the new one."""

OVERLAP = timedelta(seconds=5)
"""How much later than the first request of the new device the last of the old one may be: clocks of
hosts differ."""

AROUND = timedelta(days=3)
"""How long before a step silent devices are counted, to know how usual it is to fall silent."""

MAX_CHANCE = 0.02
"""A pair is suggested only if fewer devices than this are expected to fall silent within its gap by
chance: devices with the same hardware, system and application, and in the same network if the pair
is in one."""

UNSEEN, UNSEEN_IN_NETWORK = 1.0, 0.1
"""What is added to the number of devices that fell silent, which is a small sample: among all of a
kind, and among those in one network."""

SHORTEST = timedelta(minutes=1)
"""A shorter gap counts as this long."""

MAX_BEGUN, MAX_SILENT, MAX_ADDRESSES = 20_000, 50_000, 5_000
"""A step with more new or silent devices is left out: when so many begin or end at once, that says
nothing about one of them. With more silent devices of the kinds in question, networks are ignored.
"""

Kind = tuple[str | None, ...]
"""Manufacturer, model, application and operating system."""


class _Seen(NamedTuple):
    """A device that began, or one that fell silent, at ``at``."""

    id: int
    details_id: int
    at: datetime


class _Pair(NamedTuple):
    old: _Seen
    new: _Seen

    @property
    def gap(self) -> timedelta:
        """The time between the last request of the old device and the first of the new one."""
        return max(self.new.at - self.old.at, timedelta())


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is known about the devices of some pairs, by their ids."""

    names: Mapping[int, str | None]
    last_active: Mapping[int, datetime]
    tokens: Mapping[int, frozenset[int]]
    networks: Mapping[int, str]
    addresses: Mapping[int, str]

    def network(self, pair: _Pair) -> str | None:
        """Return the network that both devices are in, if they are."""
        old, new = self.networks.get(pair.old.id), self.networks.get(pair.new.id)
        return old if old == new else None

    def agree(self, pair: _Pair) -> bool:
        """Return whether names and tokens allow that both devices are one."""
        old, new = pair.old.id, pair.new.id
        if new not in self.last_active or old not in self.last_active:
            return False
        names = {self.names[each] for each in (old, new)} - {None}
        tokens = self.tokens.get(old, frozenset()), self.tokens.get(new, frozenset())
        has_common_token = bool(tokens[0] & tokens[1]) or not any(tokens)
        is_alive = self.last_active[new] >= pair.new.at + ALIVE
        return len(names) < 2 and has_common_token and is_alive


def find(
    db: Database, session: Session, start: datetime, end: datetime
) -> Iterator[tuple[tuple[int, int], dict[str, Any]]]:
    """Yield pairs whose new device began in a step: its id and that of the old one; evidence."""
    begun = _begun(session, start - GAP, end + GAP)
    if not any(start <= each.at < end for each in begun):
        return
    details = _alike(db, session, {each.details_id for each in begun})
    first = start - GAP - AROUND
    silent = _silent(db, session, first, end + GAP + OVERLAP, details)
    candidates = list(_candidates(begun, silent, details))
    if not candidates:
        return
    kinds = {_kind(details[pair.old.details_id]) for pair in candidates}
    same_kind = [each for each in silent if _kind(details[each.details_id]) in kinds]
    facts = _facts(db, session, candidates, same_kind)
    pairs = [pair for pair in candidates if facts.agree(pair)]
    span = (end + GAP + OVERLAP - first).total_seconds()
    by_kind = Counter(_kind(details[each.details_id]) for each in same_kind)
    by_network = Counter(
        (_kind(details[each.details_id]), facts.networks.get(each.id)) for each in same_kind
    )
    for pair in _unambiguous(pairs, facts):
        kind, network = _kind(details[pair.old.details_id]), facts.network(pair)
        if network is None:
            usual = by_kind[kind] - 1 + UNSEEN
        else:
            usual = by_network[kind, network] - 1 + UNSEEN_IN_NETWORK
        chance = usual * max(pair.gap, SHORTEST).total_seconds() / span
        if chance <= MAX_CHANCE and start <= pair.new.at < end:
            common = facts.tokens.get(pair.old.id, frozenset()) & facts.tokens.get(
                pair.new.id, frozenset()
            )
            yield (
                (pair.new.id, pair.old.id),
                {
                    "gap": round(pair.gap.total_seconds()),
                    "token_id": min(common, default=None),
                    "address": facts.addresses.get(pair.new.id) if network else None,
                },
            )


def _begun(session: Session, start: datetime, end: datetime) -> Sequence[_Seen]:
    """Return the devices that were registered at a time, in order; none if there are too many."""
    keys = DeviceKeys
    query = (
        select(keys.device_id, keys.details_id, keys.first_seen_at)
        .where(keys.first_seen_at.between(start, end))
        .order_by(keys.first_seen_at, keys.device_id)
        .limit(MAX_BEGUN + 1)
    )
    found = [_Seen(*row) for row in session.execute(query)]
    return [] if len(found) > MAX_BEGUN else found


def _alike(db: Database, session: Session, ids: Collection[int]) -> dict[int, Details]:
    """Return combinations of details and those with the same hardware, system and application."""
    wanted = session.scalars(select(Details).where(Details.id.in_(db.id_list(ids)))).all()
    kinds = {_kind(each) for each in wanted if each.model is not None}
    models = sorted({each.model for each in wanted if each.model is not None})
    found: dict[int, Details] = {}
    for start in range(0, len(models), 500):
        alike = select(Details).where(Details.model.in_(models[start : start + 500]))
        found |= {each.id: each for each in session.scalars(alike) if _kind(each) in kinds}
    return found


def _kind(details: Details) -> Kind:
    return details.manufacturer, details.model, details.application, details.os


def _silent(
    db: Database, session: Session, start: datetime, end: datetime, details: Collection[int]
) -> Sequence[_Seen]:
    """Return the devices with some details that fell silent at a time, in order."""
    row = DeviceActivity
    all_silent = (
        select(row.device_id, row.details_id, row.last_activity_at)
        .where(~row.blocked, row.archived_at.is_(None), row.last_activity_at.between(start, end))
        .order_by(row.last_activity_at.desc())
        .limit(MAX_SILENT + 1)
        .subquery()
    )
    number = session.scalar(select(func.count()).select_from(all_silent)) or 0
    if number > MAX_SILENT:
        return []
    found = select(all_silent).where(all_silent.c.details_id.in_(db.id_list(details)))
    return sorted((_Seen(*each) for each in session.execute(found)), key=lambda each: each.at)


def _candidates(
    begun: Sequence[_Seen], silent: Sequence[_Seen], details: Mapping[int, Details]
) -> Iterator[_Pair]:
    """Yield the pairs that fit by their details and times."""
    by_kind: dict[Kind, list[_Seen]] = defaultdict(list)
    for each in silent:
        by_kind[_kind(details[each.details_id])].append(each)
    for new in begun:
        if new.details_id not in details:
            continue
        own = details[new.details_id]
        group = by_kind[_kind(own)]
        first = bisect_left(group, new.at - GAP, key=lambda each: each.at)
        last = bisect_right(group, new.at + OVERLAP, key=lambda each: each.at)
        for old in group[first:last]:
            if old.id < new.id and not _is_older(own, details[old.details_id]):
                yield _Pair(old, new)


def _is_older(details: Details, than: Details) -> bool:
    """Return whether the operating system is an older version, as far as both are known."""
    versions = [version_key(each.os_version or "") for each in (details, than)]
    new, old = versions
    return new is not None and old is not None and new < old


def _facts(
    db: Database, session: Session, pairs: Collection[_Pair], same_kind: Collection[_Seen]
) -> _Facts:
    ids = {each.id for pair in pairs for each in pair}
    row, use = DeviceActivity, DeviceToken
    devices = select(Device.id, Device.name, row.last_active_at).join(
        row, row.device_id == Device.id
    )
    found = session.execute(
        devices.where(Device.id.in_(db.id_list(ids)), Device.blocked_at.is_(None))
    ).all()
    tokens: dict[int, set[int]] = defaultdict(set)
    used = select(use.device_id, use.token_id).where(use.device_id.in_(db.id_list(ids)))
    for device_id, token_id in session.execute(used):
        tokens[device_id].add(token_id)
    addresses: dict[int, str] = {}
    if len(same_kind) <= MAX_ADDRESSES:
        addresses = _addresses(db, session, {each.id for each in same_kind}, func.max)
        # Where it registered, not where it has been since.
        addresses |= _addresses(db, session, {pair.new.id for pair in pairs}, func.min)
    return _Facts(
        names={each.id: each.name for each in found},
        last_active={each.id: each.last_active_at for each in found},
        tokens={key: frozenset(values) for key, values in tokens.items()},
        networks={key: network_of(address) for key, address in addresses.items()},
        addresses=addresses,
    )


def _addresses(db: Database, session: Session, ids: Collection[int], which: Any) -> dict[int, str]:
    """Return the first or last address in the history of each device, by its id."""
    entry = DeviceHistory
    chosen = (
        select(which(entry.id))
        .where(entry.device_id.in_(db.id_list(ids)), entry.address.is_not(None))
        .group_by(entry.device_id)
    )
    rows = session.execute(select(entry.device_id, entry.address).where(entry.id.in_(chosen)))
    return {device_id: str(address) for device_id, address in rows}


def _unambiguous(pairs: Sequence[_Pair], facts: _Facts) -> Iterator[_Pair]:
    """Yield the pairs whose devices fit no other, or only this one in their network."""
    seen = Counter(each.id for pair in pairs for each in pair)
    in_network = Counter(each.id for pair in pairs if facts.network(pair) for each in pair)
    for pair in pairs:
        counts = in_network if facts.network(pair) else seen
        if counts[pair.old.id] == counts[pair.new.id] == 1:
            yield pair
