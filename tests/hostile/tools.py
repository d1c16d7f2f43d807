"""Kept scanners against the running server, signed in: wapiti and sqlmap.

They have their own virtual environment, because wapiti pins versions that conflict with ours.
"""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from harness.real_server import ROOT
from tests.conftest import DEVICE, DEVICES
from tests.hostile.target import Target, Visitor

PROGRAMS = ROOT / ".venv" / "hostile" / "bin"

# Without modules that call other hosts, that guess file names of other products, or that take two
# equal error pages (csrf) or two relative times (ldap) for a finding.
WAPITI_MODULES = "crlf,exec,file,htaccess,permanentxss,redirect,sql,timesql,xss"

SETTINGS = {
    "APIDEVICES_LOG": "json",
    "APIDEVICES_ACCESS_LOG": "true",
}
"""The settings of the server under attack. The requests are counted in its log."""


def attack_with_wapiti(target: Target, folder: Path, seconds: int) -> None:
    """Crawl and attack the pages for about ``seconds``."""
    if not _is_installed(target, "wapiti"):
        return
    report = folder / "wapiti.json"
    _register_devices(target)
    pages = f"{target.server.url}/settings/"
    modules = WAPITI_MODULES.count(",") + 1
    _run(
        target,
        "wapiti",
        ("-u", pages, "--scope", "domain", "--start", f"{pages}api-devices"),
        ("-c", str(_cookie_file(target, folder)), "-x", f"{target.server.url}/logout"),
        ("-m", WAPITI_MODULES, "-d", "3"),
        ("--max-files-per-dir", "20", "--max-links-per-page", "20"),
        ("--max-scan-time", str(seconds / 4), "--max-attack-time", str(seconds / modules)),
        ("-f", "json", "-o", str(report), "--flush-session", "--no-bugreport", "-v", "0"),
        ("--store-session", str(folder / "session"), "--store-config", str(folder / "config")),
        folder=folder,
        seconds=seconds * 3,
    )  # fmt: skip
    if not report.exists():
        target.tally.fail("wapiti wrote no report")
        return
    found = json.loads(report.read_text())
    for kind, entries in (*found["vulnerabilities"].items(), *found["anomalies"].items()):
        for entry in entries:
            target.tally.fail(f"wapiti: {kind}: {entry['info']} {entry['path']}")
    target.tally.notes.append(f"wapiti crawled {found['infos']['crawled_pages_nbr']} pages")
    _count_log(target)


def attack_with_sqlmap(target: Target, folder: Path, seconds: int) -> None:
    """Look for SQL injection in filters, ids, headers and bodies, for about ``seconds`` each."""
    if not _is_installed(target, "sqlmap"):
        return
    _register_devices(target)
    url, cookie = target.server.url, f"Cookie: {_cookie(target)}"
    pages = f"{url}/settings/api-devices"
    device = f"Authorization: Bearer {target.token}"
    manager = f"Authorization: Bearer {target.manager}"
    headers = "\n".join((device, "X-Device-ID: sqlmap*", "X-Device-Model: a*", "X-Device-OS: b*"))
    for name, options in {
        "filters of the page": ("-u", f"{pages}?name=a*&status=all*", "-H", cookie),
        "cursor of the page": ("-u", f"{pages}?cursor=older-1*", "-H", cookie),
        "ids of the page": ("-u", f"{pages}/1*/history?before=9*", "-H", cookie),
        "filters of the API": ("-u", f"{url}{DEVICES}?name=a*", "-H", manager),
        "ids of the API": ("-u", f"{url}{DEVICES}/1*/history", "-H", manager),
        "device headers": ("-u", f"{url}{DEVICE}", f"--headers={headers}"),
        "token": ("-u", f"{url}/verify", "--headers=Authorization: Bearer a*"),
        "name": (
            "-u", f"{url}{DEVICES}/1", "--method=PATCH", '--data={"name": "a*"}',
            f"--headers={manager}\nContent-Type: application/json",
        ),
    }.items():  # fmt: skip
        output = _run(
            target,
            "sqlmap",
            options,
            ("--batch", "--level=2", "--risk=2", "--technique=BEUST", "--time-sec=2"),
            ("--threads=4",),
            ("--skip-waf", "--ignore-code=*", "--flush-session", f"--output-dir={folder / name}"),
            ("--disable-coloring", f"--time-limit={seconds}"),
            folder=folder,
            seconds=seconds * 3,
        )  # fmt: skip
        target.tally.require("[*] ending" in output, f"sqlmap, {name}: {output[-600:]}")
        if "injection point(s)" in output:
            target.tally.fail(f"sqlmap, {name}: injectable: {output[-1_000:]}")
    _count_log(target)


def _is_installed(target: Target, program: str) -> bool:
    if (PROGRAMS / program).exists():
        return True
    target.tally.skipped = f"{program} is not installed"
    return False


def _run(target: Target, program: str, *options: Sequence[str], folder: Path, seconds: int) -> str:
    """Run a program and return its output."""
    command = [str(PROGRAMS / program), *(option for group in options for option in group)]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={"HOME": str(folder), "PATH": "/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        target.tally.notes.append(f"{program} was stopped after {seconds} s")
        return "[*] ending"
    return done.stdout + done.stderr


def _register_devices(target: Target) -> None:
    for number in range(3):
        target.register(f"scanned-{number}", model="T500")


def _cookie(target: Target) -> str:
    with Visitor(target) as visitor:
        visitor.sign_in()
        return visitor.cookie


def _cookie_file(target: Target, folder: Path) -> Path:
    """Write a session in wapiti's format."""
    with Visitor(target) as visitor:
        visitor.sign_in()
    common = {"version": 0, "expires": None, "secure": False, "port": None}
    cookies = {name: {"value": value, **common} for name, value in visitor.cookies.items()}
    file = folder / "cookies.json"
    file.write_text(json.dumps({"127.0.0.1": {"/": cookies}}))
    return file


def _count_log(target: Target) -> None:
    """Count the requests in the access log, which the server writes as JSON."""
    for line in target.server.log.splitlines():
        entry = json.loads(line) if line.startswith("{") else {}
        if status := entry.get("status"):
            kind = "429" if status == 429 else f"{status // 100}xx"
            if status >= 500:
                kind = "meant 503" if status == 503 else "other 5xx"
                target.tally.require(status == 503, f"{status}: {entry['method']} {entry['path']}")
            target.tally.counts[kind] += 1
