"""WebSockets through real proxies with the configurations in deploy/."""

import json
import threading
from collections.abc import Iterator

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import ServerConnection, serve

from harness.proxies import PROXIES, running_proxy
from harness.real_server import RealServer
from tests.gate.proxied import ProxiedApi, change, require_program
from tests.gate.upstream import Upstream

pytestmark = pytest.mark.database("sqlite")


@pytest.fixture(scope="module")
def echo() -> Iterator[Upstream]:
    """An API that sends its handshake's headers, and then echoes messages."""
    running = Upstream()

    def handle(client: ServerConnection) -> None:
        assert client.request
        running.seen.append(client.request.path)
        client.send(json.dumps({name.lower(): v for name, v in client.request.headers.raw_items()}))
        for message in client:
            client.send(message)

    with serve(handle, "127.0.0.1", 0) as server:
        running.port = server.socket.getsockname()[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield running
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module", params=list(PROXIES))
def port(request: pytest.FixtureRequest, gate: RealServer, echo: Upstream) -> Iterator[int]:
    require_program(request.param)
    with running_proxy(request.param, gate.port, echo.port) as running:
        yield running


def open_websocket(port: int, headers: dict[str, str]) -> ClientConnection:
    return connect(
        f"ws://127.0.0.1:{port}/feed?day=1", additional_headers=headers, proxy=None, open_timeout=30
    )


def test_websocket_of_an_allowed_device_echoes(
    port: int, echo: Upstream, headers: dict[str, str], identifier: str
) -> None:
    echo.seen.clear()
    forged = {"X-Device-Name": "boss", "X_Token_Name": "root"}
    with open_websocket(port, headers | forged) as client:
        received = json.loads(client.recv(timeout=30))
        for message in ("one", "two" * 50_000):
            client.send(message)
            assert client.recv(timeout=30) == message
    assert echo.seen == ["/feed?day=1"]
    assert (received["x-device-id"], received["x-device-name"]) == (identifier, identifier)
    assert received["x-token-name"] == "shop"
    assert [name for name in received if "_" in name] == []


def test_websocket_of_a_blocked_device_gets_403(
    port: int,
    gate: RealServer,
    gate_token: str,
    echo: Upstream,
    headers: dict[str, str],
    identifier: str,
) -> None:
    with open_websocket(port, headers):
        pass
    change(gate, gate_token, identifier, "block")
    echo.seen.clear()
    with pytest.raises(InvalidStatus) as denied:
        open_websocket(port, headers)
    response = denied.value.response
    assert (response.status_code, json.loads(response.body)["code"]) == (403, "device_blocked")
    assert response.headers["Content-Type"] == "application/problem+json"
    assert echo.seen == []


def test_websocket_without_a_token_gets_401(port: int, echo: Upstream) -> None:
    echo.seen.clear()
    with pytest.raises(InvalidStatus) as denied:
        open_websocket(port, {})
    assert denied.value.response.status_code == 401
    assert echo.seen == []


def test_upgrade_to_another_protocol_does_not_reach_the_api(
    proxied: ProxiedApi, headers: dict[str, str]
) -> None:
    upgrade = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAA"}
    response = proxied.call(headers | upgrade)
    if response.status == 200:
        assert "upgrade" not in response.json["headers"]
        assert "upgrade" not in response.json["headers"].get("connection", "").lower()
    else:
        assert (response.status, proxied.api.seen) == (403, [])


@pytest.mark.parametrize(
    "protocols",
    [
        pytest.param("h2c, websocket", id="h2c first"),
        pytest.param("websocket, h2c", id="websocket first"),
    ],
)
def test_no_other_protocol_reaches_the_api_besides_websocket(
    proxied: ProxiedApi, headers: dict[str, str], protocols: str
) -> None:
    proxied.api.seen.clear()
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": protocols,
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    response = proxied.call(headers | handshake)
    if response.status == 200:
        assert "h2c" not in response.json["headers"].get("upgrade", "")
    else:
        assert (response.status, proxied.api.seen) == (403, [])
