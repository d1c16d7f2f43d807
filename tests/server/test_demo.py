"""``make demo``: start, sign in, watch devices, stop."""

import os
import re
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, build_opener

from harness.real_server import ROOT, clean_environment, free_port, launch, wait_until

COMMAND = (sys.executable, "-m", "apidevices", "demo")

FEATURES = {
    "/suggestions": ("May be a reinstall", "May be the blocked device", "Tim’s scanner"),
    "?shared=1": ("Loading dock – handheld",),
    "?archived=1": ("Winter market – till 1",),
    "?no_upload_days=7&uploaded=1": ("Gate E – scanner",),
}
"""Page below the list -> what it shows of the demo's devices."""


class Demo:
    """A demo process and its output."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        self._log = folder / "log"
        environment = clean_environment(TMPDIR=str(self.temporary), **variables)
        self.process = launch(COMMAND, self._log, cwd=ROOT, env=environment)

    @property
    def printed(self) -> str:
        return self._log.read_text()

    def has_printed_account(self) -> bool:
        assert self.process.poll() is None, self.printed
        return "Ctrl+C" in self.printed

    def sign_in(self) -> tuple[str, OpenerDirector]:
        """Sign in with the printed account at the printed URL."""
        found = re.search(r"(http://\S+)\s+Email +(\S+)\s+Password +(\S+)", self.printed)
        assert found, self.printed
        url, email, password = found.groups()
        browser = build_opener(HTTPCookieProcessor(CookieJar()))
        page = browser.open(f"{url}/login").read().decode()
        csrf = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', page)
        assert csrf
        form = {"email": email, "password": password, "csrf_token": csrf[1]}
        browser.open(f"{url}/login", urlencode(form).encode()).read()
        return url, browser


@contextmanager
def running(folder: Path, **variables: str) -> Iterator[Demo]:
    demo = Demo(folder, variables)
    try:
        wait_until(demo.has_printed_account, 60)
        yield demo
    finally:
        demo.process.terminate()
        demo.process.wait(60)


def times(page: str) -> list[str]:
    """Return the times of the last activity, without the ends of blocks."""
    return re.findall(r'<td class="activity"><time datetime="([^"]+)"', page)


def test_demo_shows_active_devices_until_ctrl_c_and_leaves_no_files(tmp_path: Path) -> None:
    port = str(free_port())
    # The demo must not touch the configured instance folder and database.
    user = tmp_path / "user"
    settings = {"APIDEVICES_INSTANCE": str(user), "DATABASE_URL": f"sqlite:///{user}.sqlite3"}
    with running(tmp_path, PORT=port, **settings) as demo:
        url, browser = demo.sign_in()
        assert url == f"http://127.0.0.1:{port}"

        def newest() -> str:
            page = browser.open(f"{url}/settings/api-devices").read().decode()
            assert page.count('<tr id="device-') > 20
            assert "Blocked" in page
            return max(times(page))

        before = newest()
        wait_until(lambda: newest() > before, 20)
        for path, texts in FEATURES.items():
            page = browser.open(f"{url}/settings/api-devices{path}").read().decode()
            assert [text for text in texts if text not in page] == [], path
        demo.process.send_signal(signal.SIGINT)
        assert demo.process.wait(30) == 0
    assert "Traceback" not in demo.printed
    assert list(demo.temporary.iterdir()) == []
    assert list(tmp_path.glob("user*")) == []


def test_demo_exits_with_1_if_its_server_is_killed(tmp_path: Path) -> None:
    with running(tmp_path, PORT=str(free_port())) as demo:
        [server] = children(demo.process.pid)
        os.kill(server, signal.SIGKILL)
        assert demo.process.wait(30) == 1
    assert "The server stopped by itself" in demo.printed
    assert list(demo.temporary.iterdir()) == []


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
