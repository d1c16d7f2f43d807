"""Firefox, driven through WebDriver BiDi: Playwright drives only its own build of Firefox."""

import itertools
import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.programs import require

TIMEOUT_S = 15
START_TIMEOUT_S = 60

KEYS = {"Tab": "\ue004", "Enter": "\ue007", "Escape": "\ue00c", "Shift": "\ue008"}

_PREFERENCES = {
    "app.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
}


class Firefox:
    """A Firefox window with one page.

    ``errors`` collects the errors in its console.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self.errors: list[str] = []
        self._socket = socket
        self._ids = itertools.count(1)
        self._call("session.new", capabilities={})
        self._call("session.subscribe", events=["log.entryAdded"])
        self._page = self._call("browsingContext.create", type="tab")["context"]

    def open(self, url: str) -> None:
        """Load a page."""
        self._call("browsingContext.navigate", context=self._page, url=url, wait="complete")

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression, even if the page may not run scripts."""
        found = self._call(
            "script.evaluate",
            expression=f"JSON.stringify({expression} ?? null)",
            target={"context": self._page},
            awaitPromise=False,
        )
        assert found["type"] == "success", found
        return json.loads(found["result"]["value"])

    def wait_for(self, expression: str) -> None:
        """Wait until an expression is true, also while another page is loading."""
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            try:
                if self.evaluate(f"!!({expression})"):
                    return
            except _CommandFailed:
                pass  # the page is just being replaced
            assert time.monotonic() < deadline, (expression, self.text)
            time.sleep(0.05)

    def wait_for_text(self, text: str) -> None:
        """Wait until the page contains a text."""
        self.wait_for(f"document.body?.innerText.includes({json.dumps(text)})")

    @property
    def text(self) -> str:
        """The visible text of the page."""
        return str(self.evaluate("document.body.innerText"))

    @property
    def focused(self) -> str:
        """The id of the focused element."""
        return str(self.evaluate("document.activeElement?.id"))

    def press(self, *keys: str) -> None:
        """Press keys one after another: characters, or names of ``KEYS``, also as "Shift+Tab"."""
        for key in keys:
            parts = [KEYS.get(part, part) for part in ([key] if key == "+" else key.split("+"))]
            actions = [{"type": "keyDown", "value": value} for value in parts]
            actions += [{"type": "keyUp", "value": value} for value in reversed(parts)]
            source = {"type": "key", "id": "keyboard", "actions": actions}
            self._call("input.performActions", context=self._page, actions=[source])

    def tab_to(self, element_id: str) -> None:
        """Press Tab, or Shift+Tab for an element further up, until the element has the focus.

        Beyond the last element of the page, Tab would leave it for the toolbar of Firefox.
        """
        element = f"document.getElementById({json.dumps(element_id)})"
        self.wait_for(element)
        up = f"document.activeElement.compareDocumentPosition({element}) & 2"
        key = "Shift+Tab" if self.evaluate(up) else "Tab"
        for _ in range(60):
            if self.focused == element_id:
                return
            self.press(key)
        raise AssertionError(f"{key} does not reach {element_id}")

    def close(self) -> None:
        """Quit Firefox."""
        self._call("browser.close")

    def _call(self, method: str, **parameters: Any) -> Any:
        number = next(self._ids)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=TIMEOUT_S))
            if message["type"] == "event" and message["params"].get("level") == "error":
                self.errors.append(message["params"]["text"])
            elif message.get("id") == number:
                if message["type"] == "error":
                    raise _CommandFailed(f"{method}: {message['error']}: {message['message']}")
                return message["result"]


class _CommandFailed(Exception):
    """Firefox could not do what a command says."""


@contextmanager
def started(folder: Path, *, scripts: bool = True) -> Iterator[Firefox]:
    """Start Firefox with a new profile in a folder."""
    firefox = require("firefox-esr")
    preferences = _PREFERENCES | {"javascript.enabled": scripts}
    lines = [f"user_pref({json.dumps(key)}, {json.dumps(on)});" for key, on in preferences.items()]
    (folder / "user.js").write_text("\n".join(lines))
    command = [firefox, "--headless", "--no-remote", "--profile", str(folder)]
    log = folder / "firefox.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--remote-debugging-port", "0"], stdout=output, stderr=output
        )
    try:
        with connect(f"{_address(log)}/session", max_size=None) as socket:
            page = Firefox(socket)
            yield page
            page.close()
        process.wait(TIMEOUT_S)
    finally:
        process.kill()
        process.wait()


def _address(log: Path) -> str:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not (found := re.search(r"BiDi listening on (ws://\S+)", log.read_text())):
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    return found[1]
