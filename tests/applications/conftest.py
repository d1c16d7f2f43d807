"""Run third-party applications, each in a virtual environment with the API Devices wheel."""

import re
import sys
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest

from harness.environments import build_wheel, make_environment, run, share_between_workers
from harness.real_server import ROOT, ServerProcess, clean_environment, launch

EXAMPLES = ROOT / "examples" / "third_party"
"""The folder with the modules that integrate API Devices into the applications."""

ADMIN = "/settings/api-devices"

# Ignore proxy variables, and keep no idle connections.
CLIENT: dict[str, Any] = {
    "timeout": 30,
    "trust_env": False,
    "limits": httpx.Limits(max_keepalive_connections=0),
}


class MakeEnvironment(Protocol):
    """Creates the environment for ``name.txt`` and returns its bin folder."""

    def __call__(self, name: str) -> Path: ...


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> MakeEnvironment:
    if sys.version_info >= (3, 15):
        pytest.skip("The pinned packages have no wheels for this Python.")

    def make(name: str) -> Path:
        wheel = share_between_workers(tmp_path_factory, "wheel", build_wheel)
        requirements = Path(__file__).with_name(f"{name}.txt")
        return share_between_workers(
            tmp_path_factory,
            f"environment-{name}",
            lambda folder: make_environment(folder, requirements, wheel),
        )

    return make


class Host(ServerProcess):
    """A third-party application in its own process.

    Args:
        programs: The bin folder of its environment.
        folder: The working directory.
        command: The server program and its arguments. ``{port}`` is replaced by the port.
        variables: Environment variables. ``{port}`` is replaced by the port.
    """

    start_seconds = 90.0

    def __init__(
        self, programs: Path, folder: Path, command: tuple[str, ...], variables: dict[str, str]
    ) -> None:
        super().__init__(folder / "server.log")
        self.programs = programs
        self._folder = folder
        self._command = [part.format(port=self.port) for part in command]
        self._variables = {"PYTHONPATH": str(EXAMPLES)} | {
            name: value.format(port=self.port) for name, value in variables.items()
        }

    def launch(self) -> None:
        """Start the server."""
        program, *arguments = self._command
        self.process = launch(
            [self.programs / program, *arguments],
            self._log,
            cwd=self._folder,
            env=clean_environment(**self._variables),
        )

    def run(self, program: str, *arguments: str, status: int = 0) -> str:
        """Run a program of the environment and return everything that it prints."""
        options: dict[str, Any] = {"cwd": self._folder, "status": status, **self._variables}
        done = run(self.programs / program, *arguments, **options)
        return done.stdout + done.stderr

    def browser(self) -> "Browser":
        """Return a browser without cookies."""
        return Browser(base_url=self.url, **CLIENT)

    def call(
        self, path: str, device: str | None, auth: tuple[str, str] | None, method: str = "GET"
    ) -> httpx.Response:
        """Call the API of the application as a device, with a user's credentials."""
        headers = {} if device is None else {"X-Device-ID": device, "X-Device-Model": "Libra"}
        return self.browser().request(method, path, headers=headers, auth=auth)

    def is_ready(self) -> bool:
        """Return whether the server responds."""
        try:
            self.browser().get("/")
        except httpx.TransportError:
            return False
        return True


class Browser(httpx.Client):
    """Keeps cookies, and submits forms with their CSRF token."""

    def submit(self, page: str, path: str | None = None, **fields: str) -> httpx.Response:
        """Submit the form of a page to ``path``, by default to the page itself."""
        found = re.search(r'name="csrf_token"[^>]* value="(.+?)"', self.get(page).text)
        assert found, f"There is no form on {page}."
        return self.post(path or page, data={"csrf_token": found[1], **fields})

    def devices(self) -> dict[str, str]:
        """Return the identifier of each listed device and the path of its page."""
        listed = self.get(ADMIN)
        assert listed.status_code == 200
        pages = [f"{ADMIN}/{row}" for row in re.findall(r'<tr id="device-(\d+)"', listed.text)]
        return {self._identifier(page): page for page in pages}

    def change(self, device: str, action: str) -> None:
        """Block or unblock a device on the admin pages."""
        page = self.devices()[device]
        response = self.submit(f"{page}/{action}")
        assert (response.status_code, response.headers["Location"]) == (303, page)

    def _identifier(self, page: str) -> str:
        found = re.search(r'<dd class="identifier">\s*<bdi>(.+?)</bdi>', self.get(page).text)
        assert found, page
        return found[1]


def statuses(host: Host, device: str, paths: list[str], auth: tuple[str, str]) -> list[int]:
    return [host.call(path, device, auth).status_code for path in paths]


def check_blocking(
    host: Host, administrator: Browser, auth: tuple[str, str], expected: dict[str, int]
) -> None:
    """Check that a block denies one device but not another with the same credentials.

    Args:
        host: The application.
        administrator: A browser signed in as an administrator.
        auth: The credentials that both devices use.
        expected: API paths, each with the status that devices get unless they are blocked.
    """
    paths, allowed = list(expected), list(expected.values())
    for device in ("device-a", "device-b"):
        assert statuses(host, device, paths, auth) == allowed
    assert {"device-a", "device-b"} <= set(administrator.devices())
    administrator.change("device-a", "block")
    denied = host.call(paths[0], "device-a", auth)
    assert denied.headers["Content-Type"] == "application/problem+json"
    assert denied.json()["code"] == "device_blocked"
    assert statuses(host, "device-a", paths, auth) == [403] * len(paths)
    assert host.call(paths[0], "device-a", auth, "PROPFIND").status_code == 403
    assert statuses(host, "device-b", paths, auth) == allowed
    administrator.change("device-a", "unblock")
    assert statuses(host, "device-a", paths, auth) == allowed
