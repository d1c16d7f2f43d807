"""``make screenshots``: take the README's screenshots, with the devices of ``make demo``.

The clock is frozen, so that a screenshot changes only when its page does.
"""

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

from playwright.sync_api import Page, sync_playwright
from werkzeug.serving import WSGIRequestHandler, make_server

from apidevices import clock
from apidevices.standalone import demo
from app import create_app
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
    """Take all screenshots."""
    chromium = shutil.which("chromium")
    if chromium is None or not _has_fonts():
        packages = "chromium fontconfig fonts-noto-core fonts-noto-cjk"
        sys.exit(f"Install Chromium and the Noto fonts (Debian: apt-get install {packages}).")
    with (
        patch.object(clock, "now", return_value=NOW),
        _site() as (url, password),
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"]) as browser,
    ):
        page = browser.new_page(base_url=url)
        _sign_in(page, password)
        state = page.context.storage_state()
        for name, options in SCREENSHOTS.items():
            page = browser.new_page(base_url=url, storage_state=state, **options)
            page.goto("/settings/api-devices")
            if "-device-" in name:
                page.get_by_role("link", name=DEVICE).click()
                page.get_by_role("heading", name=DEVICE).wait_for()
            page.screenshot(path=ROOT / name)
            page.close()
            print(f"{name}: {(ROOT / name).stat().st_size / 1000:.0f} kB")


def _has_fonts() -> bool:
    """Return whether the Noto fonts, which cover the scripts of all names, are installed."""
    if shutil.which("fc-list") is None:
        return False
    found = subprocess.run(["fc-list", "Noto Sans CJK JP"], capture_output=True, check=True)
    return bool(found.stdout)


@contextmanager
def _site() -> Iterator[tuple[str, str]]:
    """Serve the demo's devices in this process, where the clock can be frozen.

    Yields the URL and the password of the demo account.
    """
    password = secrets.token_hex(8)
    with TemporaryDirectory(prefix="apidevices-screenshots-") as folder:
        demo.configure(Path(folder))
        app = create_app()
        with app.app_context():
            demo.create_account(password)
            demo.seed_past()
        server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Silent)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.port}", password
        finally:
            server.shutdown()


class _Silent(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log no requests."""


def _sign_in(page: Page, password: str) -> None:
    page.goto("/login")
    page.get_by_label("Email").fill(demo.EMAIL)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Sign out").wait_for()


if __name__ == "__main__":
    main()
