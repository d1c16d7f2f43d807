"""After any concurrent operations, each device's history replays to its current details.

That includes merged devices: their histories have the entries of several.

``make test`` runs a few random sequences of operations. With ``--hypothesis-profile=torture``, the
test runs 100 sequences of up to 50 operations.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest
from flask import Flask
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from apidevices.identity import DETAILS
from harness.real_server import UNLIMITED
from tests.conftest import DEVICE, DEVICES, Administrator, MakeApp, as_device, state_of
from tests.replay import Details, Entry, details, replay

EXAMPLES = {"tests": 3, "torture": 100}
"""Hypothesis profile -> number of sequences of operations to run."""

STEPS = 50
"""The maximum number of operations in a sequence."""

ADDRESSES = "192.0.2."
"""How the addresses of devices begin."""

device_numbers = st.integers(0, 2)
# Few different values, so that a value often recurs.
reports = st.dictionaries(st.sampled_from(DETAILS), st.sampled_from(["1", "2", "ü"]), max_size=4)

fleet_numbers = count()


class Fleet(RuleBasedStateMachine):
    """Operations on three new devices, and the state that the devices must have afterwards.

    When a device is merged into another one, a new one with its number follows.
    """

    def __init__(self, app: Flask, administrator: Administrator, token: str) -> None:
        super().__init__()
        self._app = app
        self._administrator = administrator
        self._token = token
        self._name = f"fleet-{next(fleet_numbers)}-"
        self._last_bytes = count()
        # The identifiers of each device, which sends them in turn. All but one are aliases.
        self._identifiers = {number: [self._new_identifier()] for number in range(3)}
        self._merged_into: dict[str, str] = {}  # identifier -> identifier of the other device
        self._ids: dict[int, int] = {}
        self._names: dict[int, str | None] = {}
        self._details_at_block: dict[int, Details] = {}  # only for blocked devices

    @rule(number=device_numbers, reported=reports)
    def report(self, number: int, reported: Details) -> None:
        before = self._details(number)
        self._run_concurrently(self._report_call(number, reported))
        if number not in self._details_at_block:
            is_counted = self._may_be_counted(number) and self._details(number) == before
            assert is_counted or self._details(number) == before | reported

    @rule(number=device_numbers)
    def report_without_change(self, number: int) -> None:
        if number in self._ids:
            entries = len(self._history(number))
            self._run_concurrently(self._report_call(number, self._details(number)))
            assert len(self._history(number)) == entries

    @rule(number=device_numbers, reported=st.lists(reports, min_size=2, max_size=3))
    def report_concurrently(self, number: int, reported: list[Details]) -> None:
        before = self._details(number)
        self._run_concurrently(*(self._report_call(number, each) for each in reported))
        if number not in self._details_at_block:
            may_be_lost = self._may_be_counted(number)
            self._assert_details_come_from(number, [before], reported, may_be_lost=may_be_lost)

    @precondition(lambda self: self._ids)
    @rule(data=st.data(), reported=st.lists(reports, max_size=2))
    def block(self, data: st.DataObject, reported: list[Details]) -> None:
        number = data.draw(st.sampled_from(sorted(self._ids)))
        before = self._details(number)
        # A concurrent report is either stored before the block or denied.
        self._run_concurrently(
            lambda: self._request(number, "POST", "/block"),
            *(self._report_call(number, each, may_be_denied=True) for each in reported),
        )
        if number not in self._details_at_block:
            self._assert_details_come_from(number, [before], reported, may_be_lost=True)
            self._details_at_block[number] = self._details(number)

    @precondition(lambda self: self._details_at_block)
    @rule(data=st.data())
    def unblock(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self._details_at_block)))
        self._request(number, "POST", "/unblock")
        del self._details_at_block[number]

    @precondition(lambda self: self._ids)
    @rule(data=st.data(), name=st.sampled_from(["", "Till", "Front desk"]), reported=reports)
    def rename(self, data: st.DataObject, name: str, reported: Details) -> None:
        number = data.draw(st.sampled_from(sorted(self._ids)))
        self._run_concurrently(
            lambda: self._request(number, "PATCH", "", json={"name": name}),
            self._report_call(number, reported),
        )
        self._names[number] = name or None

    @precondition(lambda self: len(self._ids) > 1)
    @rule(data=st.data(), reported=st.lists(reports, max_size=2))
    def merge(self, data: st.DataObject, reported: list[Details]) -> None:
        old, new = data.draw(st.permutations(sorted(self._ids)))[:2]
        state_of(self._app).activity.flush()  # the details are those of the more active device
        merged, device = self._device(old), self._device(new)
        before, other = details(device), details(merged)
        is_blocked = bool({old, new} & self._details_at_block.keys())
        self._run_concurrently(
            lambda: self._request(new, "POST", "/merge", json={"from": merged["id"]}),
            *(
                self._report_call(number, each, may_be_denied=is_blocked)
                for number, each in zip((old, new), reported, strict=False)
            ),
        )
        if reported:
            self._assert_details_come_from(new, [before, other], reported, may_be_lost=True)
        else:
            is_newer = merged["last_active_at"] > device["last_active_at"]
            assert self._details(new) == (before | other if is_newer else before)
        if is_blocked:  # a merge never lifts a block
            self._details_at_block[new] = self._details(new)
        self._names[new] = self._names.get(new) or self._names.get(old)
        for known in (self._ids, self._names, self._details_at_block):
            known.pop(old, None)
        self._merged_into[merged["identifier"]] = device["identifier"]
        self._identifiers[new] += self._identifiers[old]
        self._identifiers[old] = [self._new_identifier()]

    @invariant()
    def history_replays_to_current_details(self) -> None:
        for number in self._ids:
            replayed = replay(self._history(number), self._identifier_of)
            assert replayed == self._details(number)

    @invariant()
    def status_and_name_are_as_set_and_blocked_details_do_not_change(self) -> None:
        for number in self._ids:
            device = self._device(number)
            assert (device["status"] == "blocked") == (number in self._details_at_block)
            assert device["name"] == self._names.get(number)
            assert details(device) == self._details_at_block.get(number, details(device))

    def _report_call(
        self, number: int, reported: Details, *, may_be_denied: bool = False
    ) -> Callable[[], None]:
        """Return a function that reports details and checks whether it was allowed or denied."""
        expected = {200, 403} if may_be_denied else {200}
        if number in self._details_at_block:
            expected = {403}
        identifiers = self._identifiers[number]
        identifiers.append(identifier := identifiers.pop(0))
        address = identifier.replace(self._name, ADDRESSES)
        headers = as_device(self._token, identifier, **reported)

        def call() -> None:
            response = self._app.test_client().get(
                DEVICE, headers=headers, environ_overrides={"REMOTE_ADDR": address}
            )
            assert response.status_code in expected, response.text
            if response.status_code == 200:
                self._ids[number] = response.get_json()["id"]

        return call

    def _run_concurrently(self, *calls: Callable[[], object]) -> None:
        barrier = threading.Barrier(len(calls))

        def run(call: Callable[[], object]) -> None:
            barrier.wait(10)
            call()

        with ThreadPoolExecutor(len(calls)) as pool:
            for future in [pool.submit(run, call) for call in calls]:
                future.result()

    def _assert_details_come_from(
        self,
        number: int,
        before: list[Details],
        reported: list[Details],
        *,
        may_be_lost: bool = False,
    ) -> None:
        """Assert that each value comes from one of the concurrent reports or is unchanged."""
        current = self._details(number)
        for field in DETAILS:
            allowed = [each.get(field) for each in reported if field in each]
            if may_be_lost or not allowed:
                allowed += [each.get(field) for each in before]
            assert current.get(field) in allowed

    def _new_identifier(self) -> str:
        """Return an identifier with its own address, which tells the entries of a history apart."""
        return f"{self._name}{next(self._last_bytes)}"

    def _identifier_of(self, entry: Entry) -> str:
        """Return an identifier of the device that reported what an entry says, or that stayed."""
        if entry["kind"] == "merged":
            return self._merged_into[entry["merged"]["identifier"]]
        address: str = entry["address"]
        return address.replace(ADDRESSES, self._name)

    def _may_be_counted(self, number: int) -> bool:
        """Return whether a report may change nothing, because the device seems to be several."""
        return bool(self._device(number)["shared"])

    def _details(self, number: int) -> Details:
        return details(self._device(number)) if number in self._ids else {}

    def _device(self, number: int) -> dict[str, Any]:
        device: dict[str, Any] = self._request(number, "GET", "")
        return device

    def _history(self, number: int) -> list[Entry]:
        """Return the whole history, oldest entry first, except for what is not stored in it.

        That appears when activity is written, at any time.
        """
        entries: list[Entry] = []
        path = "/history"
        while path:
            page = self._request(number, "GET", path)
            entries += page["history"]
            path = (page["next"] or "").partition(str(self._ids[number]))[2]
        return [entry for entry in reversed(entries) if entry["id"] > 0]

    def _request(self, number: int, method: str, path: str, **options: Any) -> Any:
        response = self._administrator.request(
            method, f"{DEVICES}/{self._ids[number]}{path}", **options
        )
        assert response.status_code == 200, response.text
        return response.json


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app(**UNLIMITED)


@pytest.fixture
def frequent_thread_switches() -> Iterator[None]:
    """Switch threads often, so that concurrent operations interleave in many ways."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("frequent_thread_switches")
def test_history_replays_to_current_details_after_concurrent_operations(
    app: Flask, administrator: Administrator, token: str
) -> None:
    class FleetOfThisApp(Fleet):
        def __init__(self) -> None:
            super().__init__(app, administrator, token)

    examples = EXAMPLES[settings.get_current_profile_name()]
    run_state_machine_as_test(
        FleetOfThisApp,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            phases=[Phase.generate],  # no shrinking: a race can't be reproduced reliably
        ),
    )
