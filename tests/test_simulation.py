"""Simulated devices: varied, and reproducible for the same seed."""

from collections import Counter

from apidevices.identity import DETAILS, IdentityReader
from apidevices.standalone.simulation import Fleet


def environ(headers: dict[str, str]) -> dict[str, str]:
    return {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}


def test_every_simulated_device_calls_in_the_first_round() -> None:
    fleet = Fleet(50, seed=1)
    reader = IdentityReader()
    assert len({reader.identifier(environ(fleet.next_call()[1])) for _ in range(50)}) == 50


def test_simulated_headers_are_ascii_and_contain_all_details() -> None:
    fleet = Fleet(50, seed=1)
    for _ in range(200):
        _, headers, _ = fleet.next_call()
        assert all(value.isascii() for value in headers.values())
        assert set(IdentityReader().details(environ(headers))) == set(DETAILS)


def test_same_seed_produces_the_same_simulated_calls() -> None:
    one, same, other = Fleet(5, seed=1), Fleet(5, seed=1), Fleet(5, seed=2)
    calls = [one.next_call() for _ in range(50)]
    assert calls == [same.next_call() for _ in range(50)]
    assert calls != [other.next_call() for _ in range(50)]


def test_some_simulated_calls_are_uploads() -> None:
    fleet = Fleet(5, seed=1)
    calls = [fleet.next_call() for _ in range(400)]
    assert all((method == "POST") == (body is not None) for method, _, body in calls)
    assert 50 < Counter(method for method, _, _ in calls)["POST"] < 150


def test_simulated_devices_change_their_details_over_time() -> None:
    fleet = Fleet(3, seed=1)
    reported: dict[str, set[str]] = {}
    for _ in range(3_000):
        _, headers, _ = fleet.next_call()
        reported.setdefault(headers["X-Device-ID"], set()).add(str(sorted(headers.items())))
    assert len(reported) == 3
    assert all(len(versions) > 1 for versions in reported.values())
