"""The demo's data: the devices of a fictional ticketing company, and their history."""

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from apidevices.standalone import uploads
from apidevices.standalone.simulation import APPLICATIONS, MODELS, SimulatedDevice
from apidevices.toolkit import ActivityBuffer, Database, DeviceIdentity, devices, tokens, upkeep

MINUTE, HOUR, DAY = 60, 3_600, 86_400

DAYS = 90
"""For how many days the requests of each device are counted."""

BOX_OFFICE, SCANNER, KIOSK, STOCK = APPLICATIONS
TOKENS = {
    BOX_OFFICE: "Box office tablets",
    SCANNER: "Ticket scanners",
    KIOSK: "Kiosks",
    STOCK: "Stock rooms",
}
"""Application -> the name of the token that all its devices share."""

MARIE, TOMASZ = "marie@example.com", "tomasz@example.com"


@dataclass(frozen=True, slots=True)
class Block:
    """Why a device is blocked, and how often it has been denied since."""

    reason: str
    by: str
    denied: int = 0
    last_denied: int = 0  # seconds ago; 0 for never
    days: int | None = None  # until the block ends; None for never


@dataclass(frozen=True, slots=True)
class Station:
    """A device and where it is used.

    Attributes:
        ago: When it was last active, in seconds before now.
        behind: How many versions of the application it is behind.
        block: Why it is blocked.
        since: When it registered, in seconds before now; 0 for weeks or months ago.
        upload_ago: When it last uploaded, in seconds before its last activity; 0 for just before.
        copy: Another model that sends the same identifier.
        address: Its address; empty for any.
        archived: Whether it is archived.
    """

    name: str
    application: str
    model: str
    ago: int
    behind: int = 0
    block: Block | None = None
    since: int = 0
    upload_ago: int = 0
    copy: str = ""
    address: str = ""
    archived: bool = False

    @property
    def interval(self) -> float | None:
        """Seconds between two calls while the demo runs, or None if the device stays inactive."""
        ago = self.block.last_denied if self.block else self.ago
        return ago if 0 < ago < HOUR else None

    def device(self) -> SimulatedDevice:
        """Return the current state of the device, the same each time."""
        hardware = next(model for model in MODELS if model.model == self.model)
        number = _rng(self).getrandbits(48)
        return SimulatedDevice(
            identifier=f"{hardware.prefix}-{number:012x}",
            application=self.application,
            application_version=APPLICATIONS[self.application][-1 - self.behind],
            hardware=hardware,
            os_version=hardware.os_versions[-1],
        )


LOST = Block("Left in a taxi after the matinee. Marie is calling the driver.", MARIE, 14, 8, 2)
SOLD = Block(
    "Sold with the old box office. The new owner still runs our application.",
    TOMASZ,
    212,
    5 * MINUTE,
)
LEFT = Block("Tim left the company and has not returned it.", MARIE)
TESTS = Block("Test device of the agency. The project has ended.", TOMASZ, 4, 3 * DAY)

STATIONS = (
    Station("Main Entrance – iPad 1", BOX_OFFICE, "iPad mini (A17 Pro)", 3),
    Station("Gate B – scanner 2", SCANNER, "TC58", 12),
    Station("Gate C – scanner", SCANNER, "TC58", 2 * MINUTE, block=LOST),
    Station("大阪城ホール 窓口 3", BOX_OFFICE, "iPad (10th generation)", 3 * MINUTE),
    Station("Foyer kiosk", KIOSK, "Backpack 4 kiosk", 4 * MINUTE),
    Station("", SCANNER, "Pixel 9a", 5 * MINUTE, behind=1),
    Station("Accueil – tablette 2", BOX_OFFICE, "Galaxy Tab Active5", 7 * MINUTE, behind=1),
    Station("Stock room – handheld 12", STOCK, "ET45", 9 * MINUTE),
    Station("", SCANNER, "红米 Note 13", 12 * MINUTE),
    Station("Каса 4, Палац спорту", BOX_OFFICE, "iPad (10th generation)", 17 * MINUTE, behind=1),
    Station("Gate A – scanner 1", SCANNER, "Dolphin CT47", 23 * MINUTE),
    Station("Balcony kiosk", KIOSK, "Compute Module 4", 31 * MINUTE),
    Station("Main Entrance – iPad 2", BOX_OFFICE, "iPad mini (A17 Pro)", 38 * MINUTE),
    Station("", SCANNER, "iPhone 16 Pro", 52 * MINUTE),
    Station("Old box office, Gdańsk", BOX_OFFICE, "iPad mini (A17 Pro)", 2 * HOUR, 3, SOLD),
    Station("Gate B – scanner 3", SCANNER, "TC58", 2 * HOUR + 9 * MINUTE),
    Station("Kasse Süd – iPad", BOX_OFFICE, "iPad (10th generation)", 3 * HOUR),
    Station("", STOCK, "TOUGHBOOK G2", 4 * HOUR),
    Station("VIP lounge – phone", SCANNER, "Galaxy S24", 5 * HOUR, behind=1),
    Station("شباك التذاكر ٢", BOX_OFFICE, "iPad (10th generation)", 7 * HOUR, behind=1),
    Station("Car park kiosk", KIOSK, "Backpack 4 kiosk", 9 * HOUR, behind=1),
    Station("", SCANNER, "iPhone 14", 14 * HOUR),
    Station("Stock room – tablet 3", STOCK, "ET45", 20 * HOUR, behind=1),
    Station("Tim’s scanner", SCANNER, "Galaxy S24", DAY + 3 * HOUR, 1, LEFT, address="10.20.4.77"),
    Station("매표소 1", BOX_OFFICE, "Galaxy Tab Active5", DAY + 5 * HOUR),
    Station("", SCANNER, "Dolphin CT47", 2 * DAY, behind=1),
    Station("Cloakroom kiosk", KIOSK, "Compute Module 4", 3 * DAY),
    Station("Open-air stage – iPad", BOX_OFFICE, "iPad mini (A17 Pro)", 4 * DAY, behind=2),
    Station("", STOCK, "TOUGHBOOK G2", 6 * DAY),
    Station("Open-air stage – scanner", SCANNER, "TC58", 9 * DAY, behind=2),
    Station("Agency test phone", SCANNER, "Pixel 9a", 12 * DAY, 2, TESTS),
    Station("", BOX_OFFICE, "Galaxy Tab Active5", 16 * DAY, behind=3),
    Station("Spare scanner, drawer", SCANNER, "Dolphin CT47", 41 * DAY, behind=2),
    Station("Loading dock – handheld", STOCK, "ET45", 57 * MINUTE, copy="TOUGHBOOK G2"),
    Station("Gate E – scanner", SCANNER, "Dolphin CT47", 70 * MINUTE, upload_ago=9 * DAY),
    Station("Press entrance – phone", SCANNER, "iPhone 14", 5 * DAY + 20 * MINUTE),
    Station("", SCANNER, "iPhone 14", 6 * HOUR, since=5 * DAY),  # the same after a reinstall
    Station("", SCANNER, "Galaxy S24", 8 * HOUR, since=DAY + 2 * HOUR, address="10.20.4.77"),
    Station("", KIOSK, "Backpack 4 kiosk", 80 * MINUTE, since=6 * HOUR),
    Station(
        "Winter market – till 1", BOX_OFFICE, "Galaxy Tab Active5", 130 * DAY, 3, archived=True
    ),
    Station(
        "Winter market – till 2", BOX_OFFICE, "Galaxy Tab Active5", 131 * DAY, 3, archived=True
    ),
    Station("Winter market – scanner", SCANNER, "TC58", 132 * DAY, 2, archived=True),
)


def seed(db: Database, activity: ActivityBuffer, now: datetime) -> Mapping[str, str]:
    """Store the history of all devices until ``now``; return application -> token."""
    started = now - timedelta(days=400)
    issued = {
        application: tokens.issue(db, name, actor=TOMASZ, now=started)
        for application, name in TOKENS.items()
    }
    ids = {
        station: _store_past(station, db, activity, issued[station.application][0].id, now)
        for station in STATIONS
    }
    activity.flush(counts=True)
    for station in STATIONS:
        if station.archived:
            devices.archive(db, ids[station], actor=TOMASZ, now=now - timedelta(days=20))
    upkeep.run(db, upkeep.twin_tasks(), now=now)
    return {application: text for application, (_, text) in issued.items()}


def _store_past(
    station: Station, db: Database, activity: ActivityBuffer, token_id: int, now: datetime
) -> int:
    """Store the past of a device, and return its id."""
    rng = _rng(station)
    ended = now - timedelta(seconds=station.ago)
    active = ended - timedelta(minutes=25) if station.block else ended
    any_address = f"10.20.{rng.randint(1, 9)}.{rng.randint(20, 250)}"
    address = station.address or any_address
    uploading = active - timedelta(seconds=station.upload_ago)

    days = sorted((1 + 250 * rng.random() ** 2 for _ in range(7)), reverse=True)
    identities = list(_versions(station))
    if station.since:
        days, identities = [(station.since - station.ago) / DAY], identities[-1:]
    for day, identity in zip(days, identities, strict=False):
        at = active - timedelta(days=day)
        reported = devices.report(db, identity, token_id=token_id, address=address, now=at)
    device_id = reported.device_id
    if station.name:
        at = active - timedelta(days=days[-1])
        devices.rename(db, device_id, station.name, actor=MARIE, now=at)

    for minutes in sorted((rng.uniform(1, 200) for _ in range(3)), reverse=True):
        uploaded = uploading - timedelta(minutes=minutes)
        scanned = [{"ticket": rng.randint(10**9, 10**10), "ok": True}] * rng.randint(1, 40)
        body = json.dumps({"kind": "scan", "scanned": scanned}).encode()
        uploads.store(db, body, device_id=device_id, token_id=token_id, now=uploaded)
        activity.record_request(device_id, token_id, uploaded, upload=True)
    activity.record_request(device_id, token_id, active, upload=False)
    for ago in range(1, min(DAYS - station.ago // DAY, int(days[0]))):
        for _ in range(rng.choice((0, 3, 8, 12, 20, 26))):
            counted = active - timedelta(days=ago)
            upload = rng.random() < 0.3 and counted <= uploading
            activity.record_request(device_id, token_id, counted, upload=upload)
    if station.copy:
        *_, other = _versions(replace(station, model=station.copy))
        other = other._replace(identifier=identity.identifier)
        for ago in range(6, 0, -1):
            at, seen = active - timedelta(hours=ago), identity if ago % 2 else other
            devices.report(db, seen, token_id=token_id, address=address, now=at)

    if block := station.block:
        until = None if block.days is None else now + timedelta(days=block.days)
        devices.block(db, device_id, reason=block.reason, until=until, actor=block.by, now=ended)
        for _ in range(block.denied):
            denied = now - timedelta(seconds=block.last_denied)
            activity.record_denial(device_id, denied, token_id, address)
    return device_id


def _versions(station: Station) -> Iterator[DeviceIdentity]:
    """Yield what a device has reported, oldest first. Each report changes one version."""
    device = station.device()
    details = {
        "application": device.application,
        "os": device.hardware.os,
        "manufacturer": device.hardware.manufacturer,
        "model": device.hardware.model,
    }
    known = APPLICATIONS[station.application]
    versions = known[: len(known) - station.behind]
    systems = device.hardware.os_versions
    steps = [(versions[0], systems[0])]
    steps += [(version, systems[0]) for version in versions[1:]]
    steps += [(versions[-1], system) for system in systems[1:]]
    for version, system in steps:
        yield DeviceIdentity(
            device.identifier, {**details, "application_version": version, "os_version": system}
        )


def _rng(station: Station) -> random.Random:
    """Return a random number generator that is always the same for a station."""
    return random.Random(f"{station.name} {station.ago}")  # noqa: S311 - nothing here is a secret
