"""``make screenshots``: take the README's screenshots, with the devices of ``make demo``.

With a folder as argument, take every page and state instead, in six widths and both color schemes.
The clock is frozen, so that a screenshot changes only when its page does.
"""

import argparse
import secrets
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from flask import Flask
from playwright.sync_api import Browser, StorageState, sync_playwright
from werkzeug.serving import WSGIRequestHandler, make_server

from apidevices import clock
from apidevices.standalone import demo
from apidevices.standalone.accounts import setup_path
from apidevices.standalone.migrations import upgrade
from app import create_app
from examples.themed_host import app as themed_host
from harness import gallery
from harness.real_server import ROOT

NOW = datetime(2026, 10, 17, 17, 42, tzinfo=UTC)

DEVICE = "Gate C – scanner"
"""The device whose page is shown. It is blocked and has denied requests."""

PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 700},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}
# At the widths in the README (device-desk 50%, phones 23%), these sizes have equal heights.
VIEWS: dict[str, dict[str, Any]] = {
    "list-desk": {"viewport": {"width": 1280, "height": 760}},
    "list-phone": PHONE,
    "device-desk": {"viewport": {"width": 1280, "height": 1057}},
    "device-phone": PHONE,
}

SCREENSHOTS = {
    f"docs/screenshot-{view}-{scheme}.png": VIEWS[view] | {"color_scheme": scheme}
    for view in VIEWS
    for scheme in ("light", "dark")
}
"""File -> browser options."""


def main() -> None:
    """Take the screenshots."""
    parser = argparse.ArgumentParser(prog="make screenshots", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="where to put every page and state")
    parser.add_argument("--only", default="", help="only the states whose names contain this text")
    arguments = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None or not _has_fonts():
        packages = "chromium fontconfig fonts-noto-core fonts-noto-cjk"
        sys.exit(f"Install Chromium and the Noto fonts (Debian: apt-get install {packages}).")
    with (
        patch.object(clock, "now", return_value=NOW),
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"]) as browser,
    ):
        if arguments.folder:
            _take_gallery(browser, arguments.folder, arguments.only)
        else:
            _take_screenshots(browser)


def _take_screenshots(browser: Browser) -> None:
    with _demo_site() as (url, password):
        state = _sign_in(browser, url, password)
        for name, options in SCREENSHOTS.items():
            page = browser.new_page(base_url=url, storage_state=state, **options)
            page.clock.set_fixed_time(NOW)
            page.goto("/settings/api-devices")
            if "-device-" in name:
                page.get_by_role("link", name=DEVICE).click()
                page.get_by_role("heading", name=DEVICE).wait_for()
            page.screenshot(path=ROOT / name)
            page.close()
            print(f"{name}: {(ROOT / name).stat().st_size / 1000:.0f} kB")


def _take_gallery(browser: Browser, folder: Path, only: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with _demo_site() as (url, password):
        cookies = _sign_in(browser, url, password)
        gallery.take(browser, url, cookies, NOW, folder, only)
    with _empty_site() as (url, setup_path):
        gallery.take_first_visit(browser, url, setup_path, NOW, folder, only)
    with TemporaryDirectory() as name:
        app = themed_host.create_app(f"sqlite:///{name}/cinema.sqlite3")
        for identifier in ("till-1", "till-2"):
            app.test_client().get("/api/seats", headers={"X-Device-ID": identifier})
        with _serve(app) as url:
            gallery.take_embedded(browser, url, folder, only)


def _has_fonts() -> bool:
    """Return whether the Noto fonts, which cover the scripts of all names, are installed."""
    if shutil.which("fc-list") is None:
        return False
    found = subprocess.run(["fc-list", "Noto Sans CJK JP"], capture_output=True, check=True)
    return bool(found.stdout)


@contextmanager
def _demo_site() -> Iterator[tuple[str, str]]:
    """Serve the demo's devices. Yields the URL and the password of the demo account."""
    password = secrets.token_hex(8)
    with _standalone_app() as app:
        with app.app_context():
            demo.create_account(password)
            demo.seed_past()
        with _serve(app) as url:
            yield url, password


@contextmanager
def _empty_site() -> Iterator[tuple[str, str]]:
    """Serve an application without accounts and devices. Yields its URL and the setup path."""
    with _standalone_app() as app:
        with app.app_context():
            upgrade()
        with _serve(app) as url:
            yield url, setup_path(app)


@contextmanager
def _standalone_app() -> Iterator[Flask]:
    with TemporaryDirectory(prefix="apidevices-screenshots-") as folder:
        demo.configure(Path(folder))
        yield create_app()


@contextmanager
def _serve(app: Flask) -> Iterator[str]:
    """Serve an application in this process, where the clock can be frozen. Yields its URL."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Silent)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        app.extensions["apidevices"].close()


class _Silent(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log no requests."""


def _sign_in(browser: Browser, url: str, password: str) -> StorageState:
    """Sign in to the demo account, and return the cookies."""
    page = browser.new_page(base_url=url)
    page.goto("/login")
    page.get_by_label("Email").fill(demo.EMAIL)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Sign out").wait_for()
    return page.context.storage_state()


if __name__ == "__main__":
    main()
