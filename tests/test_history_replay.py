"""Whatever happens to devices, and however it races: a history replays to the present.

A short look in ``make test``, 5,000 steps with ``--hypothesis-profile=torture``.
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
from tests.conftest import DEVICE, DEVICES, Administrator, as_device
from tests.replay import Details, details, replay

EXAMPLES = {"tests": 3, "torture": 100}
"""How often a fleet is made in each profile; a fleet has ``STEPS`` steps at most."""

STEPS = 50

numbers = st.integers(0, 2)
# Few values, so that they come back.
sayings = st.dictionaries(st.sampled_from(DETAILS), st.sampled_from(["1", "2", "ü"]), max_size=4)

fleets = count()


class Fleet(RuleBasedStateMachine):
    """Three devices that nobody has seen before, and what is known of them from the answers."""

    def __init__(self, app: Flask, administrator: Administrator, token: str) -> None:
        super().__init__()
        self._app = app
        self._administrator = administrator
        self._token = token
        self._name = f"fleet-{next(fleets)}"
        self._ids: dict[int, int] = {}
        self._names: dict[int, str | None] = {}
        self._frozen: dict[int, Details] = {}

    @rule(number=numbers, said=sayings)
    def report(self, number: int, said: Details) -> None:
        before = self._known(number)
        self._together(self._reporting(number, said))
        if number not in self._frozen:
            assert self._known(number) == before | said

    @rule(number=numbers)
    def repeat(self, number: int) -> None:
        if number in self._ids:
            entries = len(self._history(number))
            self._together(self._reporting(number, self._known(number)))
            assert len(self._history(number)) == entries

    @rule(number=numbers, said=st.lists(sayings, min_size=2, max_size=3))
    def race(self, number: int, said: list[Details]) -> None:
        before = self._known(number)
        self._together(*(self._reporting(number, each) for each in said))
        if number not in self._frozen:
            self._agrees_with(number, before, said)

    @precondition(lambda self: self._ids)
    @rule(data=st.data(), said=st.lists(sayings, max_size=2))
    def block(self, data: st.DataObject, said: list[Details]) -> None:
        number = data.draw(st.sampled_from(sorted(self._ids)))
        before = self._known(number)
        # What is reported meanwhile is stored before the block, or denied.
        self._together(
            lambda: self._done(number, "POST", "/block"),
            *(self._reporting(number, each, either=True) for each in said),
        )
        if number not in self._frozen:
            self._agrees_with(number, before, said, denied=True)
            self._frozen[number] = self._known(number)

    @precondition(lambda self: self._frozen)
    @rule(data=st.data())
    def unblock(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self._frozen)))
        self._done(number, "POST", "/unblock")
        del self._frozen[number]

    @precondition(lambda self: self._ids)
    @rule(data=st.data(), name=st.sampled_from(["", "Till", "Front desk"]), said=sayings)
    def rename(self, data: st.DataObject, name: str, said: Details) -> None:
        number = data.draw(st.sampled_from(sorted(self._ids)))
        self._together(
            lambda: self._done(number, "PATCH", "", json={"name": name}),
            self._reporting(number, said),
        )
        self._names[number] = name or None

    @invariant()
    def history_replays(self) -> None:
        for number in self._ids:
            assert replay(self._history(number)) == self._known(number)

    @invariant()
    def administrators_are_obeyed(self) -> None:
        for number in self._ids:
            device = self._device(number)
            assert (device["status"] == "blocked") == (number in self._frozen)
            assert device["name"] == self._names.get(number)
            assert details(device) == self._frozen.get(number, details(device))

    def _reporting(self, number: int, said: Details, *, either: bool = False) -> Callable[[], None]:
        """Return a request that is served or denied as it must be, or either way."""
        allowed = {200, 403} if either else {403 if number in self._frozen else 200}
        headers = as_device(self._token, f"{self._name}-{number}", **said)

        def call() -> None:
            answer = self._app.test_client().get(DEVICE, headers=headers)
            assert answer.status_code in allowed, answer.text
            if answer.status_code == 200:
                self._ids[number] = answer.get_json()["id"]

        return call

    def _together(self, *calls: Callable[[], object]) -> None:
        barrier = threading.Barrier(len(calls))

        def make(call: Callable[[], object]) -> None:
            barrier.wait(10)
            call()

        with ThreadPoolExecutor(len(calls)) as pool:
            for done in [pool.submit(make, call) for call in calls]:
                done.result()

    def _agrees_with(
        self, number: int, before: Details, said: list[Details], *, denied: bool = False
    ) -> None:
        """Each value was said by one of several at once, or is from before where none was heard."""
        known = self._known(number)
        for field in DETAILS:
            values = [each.get(field) for each in said if field in each]
            if denied or not values:
                values.append(before.get(field))
            assert known.get(field) in values

    def _known(self, number: int) -> Details:
        return details(self._device(number)) if number in self._ids else {}

    def _device(self, number: int) -> dict[str, Any]:
        device: dict[str, Any] = self._done(number, "GET", "")
        return device

    def _history(self, number: int) -> list[dict[str, Any]]:
        """Return a whole history, the oldest entry first."""
        entries: list[dict[str, Any]] = []
        path = "/history"
        while path:
            page = self._done(number, "GET", path)
            entries += page["history"]
            path = (page["next"] or "").partition(str(self._ids[number]))[2]
        return entries[::-1]

    def _done(self, number: int, method: str, path: str, **options: Any) -> Any:
        answer = self._administrator.request(
            method, f"{DEVICES}/{self._ids[number]}{path}", **options
        )
        assert answer.status_code == 200, answer.text
        return answer.json


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Let threads take turns all the time: in a race, each step of one may meet any of another."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("eager_threads")
def test_history_replays_to_the_present(
    app: Flask, administrator: Administrator, token: str
) -> None:
    class Here(Fleet):
        def __init__(self) -> None:
            super().__init__(app, administrator, token)

    examples = EXAMPLES[settings.get_current_profile_name()]
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            phases=[Phase.generate],  # a race that was lost once can't be made smaller
        ),
    )
