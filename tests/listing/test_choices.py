"""The values that filters can have."""

import threading
from dataclasses import asdict
from datetime import timedelta

import pytest

from apidevices import listing
from apidevices.database import Database
from apidevices.listing import limits, values
from apidevices.models import DeviceTag
from tests.conftest import NOON, Register


@pytest.fixture(autouse=True)
def _enough_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CHOICES_PATIENCE", 30)
    monkeypatch.setattr(limits, "CHOICES_REST", 0)


def test_choices_are_what_devices_report_with_their_number(
    db: Database, register: Register
) -> None:
    register("a", application="Box Office", application_version="2.9", os="iOS", model="iPad")
    register("b", application="Box Office", application_version="2.10", os="iOS")
    register("c", application="box office", application_version="2.10", os="Android")
    register("d", application="Касса", os_version="17", manufacturer="Apple")
    with db.write() as session:
        for device_id, tag in ((1, "VIP"), (2, "vip"), (2, "Foyer")):
            session.add(DeviceTag(device_id=device_id, key=tag.casefold(), tag=tag))
    assert asdict(listing.choices(db)) == {
        "application": [("Box Office", 3), ("Касса", 1)],
        "application_version": {"Box Office": [("2.10", 2), ("2.9", 1)], "Касса": []},
        "os": [("Android", 1), ("iOS", 2)],
        "os_version": [("17", 1)],
        "manufacturer": [("Apple", 1)],
        "model": [("iPad", 1)],
        "tag": [("Foyer", 1), ("VIP", 2)],
    }


def test_choices_have_the_most_common_values_only(
    db: Database, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_CHOICES", 2)
    for number, model in enumerate(["a", "b", "b", "c", "c"]):
        register(f"phone-{number}", NOON + timedelta(seconds=number), model=model)
    assert list(map(tuple, listing.choices(db).model)) == [("b", 2), ("c", 2)]


@pytest.mark.database("sqlite")
def test_slow_collection_delays_nobody(
    db: Database, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    register("a", model="iPad")
    before = listing.choices(db)
    register("b", model="Pixel 8")
    monkeypatch.setattr(limits, "CHOICES_PATIENCE", 0.01)
    release, collect = threading.Event(), values.collect
    monkeypatch.setattr(values, "collect", lambda session: release.wait(30) and collect(session))
    assert listing.choices(db) == before
    release.set()
    monkeypatch.setattr(limits, "CHOICES_PATIENCE", 30)
    assert [choice.value for choice in listing.choices(db).model] == ["iPad", "Pixel 8"]
