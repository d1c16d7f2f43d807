"""The limit on concurrent password hashes of a process."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask

from apidevices.errors import LimitReached
from apidevices.standalone.accounts.hashing import CONCURRENT, PasswordHashes, Slots, slots
from tests.pages.sign_in import WRONG, visitor_from

GUESSERS = 32


class Gauge:
    """Counts how many calls run at once."""

    def __init__(self) -> None:
        self.highest = self._running = 0
        self._lock = threading.Lock()

    def run(self) -> None:
        with self._lock:
            self._running += 1
            self.highest = max(self.highest, self._running)
        time.sleep(0.02)
        with self._lock:
            self._running -= 1


def hold_in_thread(target: Slots, *, precedence: bool, until: threading.Event) -> threading.Thread:
    holding = threading.Event()

    def hold() -> None:
        with target.hold(precedence=precedence):
            holding.set()
            until.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    assert holding.wait(10)
    return thread


@pytest.mark.database("sqlite")
def test_parallel_guessers_never_exceed_the_limit(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    gauge = Gauge()

    def slow_hash(*_arguments: object, **_options: object) -> str:
        gauge.run()
        return "a hash"

    monkeypatch.setattr("passlib.context.CryptContext.hash", slow_hash)
    with ThreadPoolExecutor(GUESSERS) as guessers:

        def guess(number: int) -> int:
            visitor = visitor_from(app, f"198.51.100.{number}")
            fields: dict[str, Any] = {"email": f"user{number}@example.org", "password": WRONG}
            return visitor.change("/login", "/login", **fields).status

        statuses = Counter(guessers.map(guess, range(GUESSERS)))
    assert 1 <= gauge.highest <= CONCURRENT - 1  # one slot is reserved for known addresses
    assert set(statuses) == {200, 429}


def test_reserved_slot_is_free_while_strangers_hold_the_others() -> None:
    target, done = Slots(), threading.Event()
    stranger = hold_in_thread(target, precedence=False, until=done)
    with target.hold():
        done.set()
    stranger.join()


def test_all_slots_serve_precedence() -> None:
    target, done = Slots(), threading.Event()
    threads = [hold_in_thread(target, precedence=True, until=done) for _ in range(CONCURRENT)]
    done.set()
    for thread in threads:
        thread.join()


def test_calls_are_refused_at_once_when_enough_wait() -> None:
    target, done = Slots(), threading.Event()
    stranger = hold_in_thread(target, precedence=False, until=done)
    waiting = ThreadPoolExecutor(1)

    def wait() -> None:
        with target.hold(precedence=False):
            pass

    waiter = waiting.submit(wait)
    time.sleep(0.05)
    with pytest.raises(LimitReached), target.hold(precedence=False):
        pass
    done.set()
    waiter.result(10)
    stranger.join()
    with target.hold(precedence=False):  # everything has been released
        pass


def test_thread_that_holds_a_slot_can_hash_without_a_second_one() -> None:
    hashes = PasswordHashes(["argon2"], argon2__memory_cost=32, argon2__time_cost=1)
    with slots.hold():
        assert hashes.verify("a", hashes.hash("a"))


def test_slot_is_released_after_an_error() -> None:
    target = Slots()
    for _ in range(CONCURRENT + 2):
        with pytest.raises(ValueError, match="wrong"), target.hold():
            raise ValueError("wrong")
