"""``make lighthouse``: measure pages of the real server with Lighthouse, on a phone and a desktop.

The site has the devices of ``make demo``. Prints a table, and exits with 1 if a score is below 95.
"""

import json
import os
import shutil
import subprocess
import sys
from http.cookiejar import CookieJar
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener

from tabulate import tabulate

from apidevices.standalone import demo
from app import create_app
from harness.real_server import ROOT, RealServer

PAGES = {
    "list": "/settings/api-devices",
    "details": "/settings/api-devices/1",
    "merge": "/settings/api-devices/1/merge?from=2",
    "overview": "/settings/api-devices/overview",
    "suggestions": "/settings/api-devices/suggestions",
    "storage": "/settings/api-devices/storage",
    "tokens": "/settings/api-tokens",
    "API docs": "/api/docs",
}
DEVICES: dict[str, list[str]] = {"phone": [], "desktop": ["--preset=desktop"]}
CATEGORIES = ("performance", "accessibility", "best-practices")
GOAL = 95

PASSWORD = "correct horse battery"


def main() -> None:
    """Measure all pages."""
    chromium = shutil.which("chromium")
    if chromium is None or shutil.which("npm") is None:
        sys.exit("Install Chromium, Node.js and npm.")
    folder = ROOT / ".venv" / "lighthouse"
    folder.mkdir(exist_ok=True)
    shutil.copy(Path(__file__).with_name("package.json"), folder)
    install = ("npm", "install", "--no-audit", "--no-fund", "--silent")
    subprocess.run(install, cwd=folder, check=True)
    with TemporaryDirectory(prefix="apidevices-lighthouse-") as name:
        instance = Path(name) / "instance"
        demo.configure(instance)
        app = create_app()
        with app.app_context():
            demo.create_account(PASSWORD)
            demo.seed_past()
        app.extensions["apidevices"].close()
        with RealServer(instance) as server:
            cookie = _sign_in(server.url)
            scores = {
                (page, device): _scores(folder, chromium, server.url + path, cookie, options)
                for (page, path), (device, options) in product(PAGES.items(), DEVICES.items())
            }
    rows = [(*measured, *found) for measured, found in scores.items()]
    print(tabulate(rows, headers=["page", "device", *CATEGORIES]))
    if any(score < GOAL for found in scores.values() for score in found):
        sys.exit(1)


def _sign_in(url: str) -> str:
    """Sign in to the demo account and return the header with the cookies."""
    cookies = CookieJar()
    opener = build_opener(HTTPCookieProcessor(cookies))
    page = opener.open(f"{url}/login").read().decode()
    token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
    form = {"csrf_token": token, "email": demo.EMAIL, "password": PASSWORD}
    opener.open(f"{url}/login", urlencode(form).encode()).close()
    return "; ".join(f"{cookie.name}={cookie.value}" for cookie in cookies)


def _scores(folder: Path, chromium: str, url: str, cookie: str, options: list[str]) -> list[int]:
    """Return the score of a page in each category, from 0 to 100."""
    done = subprocess.run(
        [
            folder / "node_modules" / ".bin" / "lighthouse",
            url,
            "--quiet",
            "--output=json",
            "--chrome-flags=--headless=new --no-sandbox --disable-gpu",
            f"--only-categories={','.join(CATEGORIES)}",
            f"--extra-headers={json.dumps({'Cookie': cookie})}",
            *options,
        ],
        env=os.environ | {"CHROME_PATH": chromium},
        capture_output=True,
        text=True,
        check=True,
    )
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["finalDisplayedUrl"] == url, f"redirected to {report['finalDisplayedUrl']}"
    return [round(100 * report["categories"][name]["score"]) for name in CATEGORIES]


if __name__ == "__main__":
    main()
