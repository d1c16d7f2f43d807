"""``simulate`` calls a real server."""

import json

import pytest

from harness.real_server import RealServer


@pytest.mark.database("sqlite")
def test_simulated_devices_are_registered(server: RealServer, token: str) -> None:
    before = len(json.loads(server.flask("apidevices", "list", "--json").stdout))
    options = ("--devices", "5", "--rate", "40", "--seconds", "0.5", "--seed", "7")
    simulated = server.flask(
        "apidevices", "simulate", "--url", server.url, "--token", token, *options
    )
    assert simulated.returncode == 0, simulated.stderr
    responses = dict(line.split() for line in simulated.stdout.splitlines()[2:])
    assert set(responses) == {"200", "201"}
    assert sum(map(int, responses.values())) == 20
    listed = json.loads(server.flask("apidevices", "list", "--json").stdout)
    assert len(listed) == before + 5
    assert all(device["manufacturer"] and device["application"] for device in listed[:5])
