"""Part 5: how much a worker grows over a million requests from a million known devices.

Run as ``python -m benchmarks.memory DEVICES TOKEN`` it is that worker, and prints what it found.
"""

import json
import os
import subprocess
import sys
import time
from typing import Any

from apidevices.standalone.settings import ServerSettings
from benchmarks import fleet, goals
from benchmarks.applications import tracked
from benchmarks.context import BenchmarkFailed, Run, check, say
from benchmarks.databases import close
from benchmarks.report import Table
from harness.real_server import ROOT, clean_environment

WARM_UP = 10_000

MEGABYTE = 1024 * 1024


def measure(run: Run) -> Table:
    """Let a worker answer a request of each device, and see how much it has grown."""
    requests = run.pick(1_000_000, 100_000)
    table = Table(
        "5. Memory: a worker after one request from each of many devices",
        notes=[
            f"One process calls the tracked application through WSGI, {WARM_UP:,} times to warm up"
            " and once for each device; activity is written by its thread, as in production.",
            "Resident memory, by /proc/self/statm. Blocked devices are denied, the others served.",
        ],
    )
    for backend in run.backends:
        say(f"{backend.name}: filling {requests:,} devices")
        url = backend.grown(requests)
        say(f"{backend.name}: {requests:,} requests")
        ended = subprocess.run(
            [sys.executable, "-m", "benchmarks.memory", str(requests), run.token],
            cwd=ROOT,
            env=clean_environment(DATABASE_URL=url),
            capture_output=True,
            text=True,
        )
        check(not ended.returncode, f"the worker failed:\n{ended.stderr}")
        found = json.loads(ended.stdout)
        table.rows.append({"database": backend.name, "requests": requests, **found})
        table.verdicts.append(goals.MEMORY.judge(backend.name, found["growth MB"]))
    return table


def work(requests: int, token: str) -> dict[str, float]:
    """Be the worker: answer a request of each device and return what memory it took."""
    app = tracked.create_app(ServerSettings.from_environ())
    for number in range(WARM_UP):
        _request(app.wsgi_app, number % requests, token)
    before = highest = _resident()
    started = time.monotonic()
    for number in range(requests):
        _request(app.wsgi_app, number, token)
        if number % 10_000 == 0:
            highest = max(highest, _resident())
    seconds = time.monotonic() - started
    close(app)
    after = _resident()
    return {
        "before MB": before / MEGABYTE,
        "after MB": after / MEGABYTE,
        "highest MB": max(highest, after) / MEGABYTE,
        "growth MB": (after - before) / MEGABYTE,
        "requests/s": requests / seconds,
    }


def _request(application: Any, number: int, token: str) -> None:
    """Make a request of a device.

    Raises:
        BenchmarkFailed: it was not answered as it should be.
    """
    statuses: list[str] = []
    environ = fleet.environ(fleet.device(number), token)
    answer = application(environ, lambda status, _headers, _exception=None: statuses.append(status))
    for _ in answer:
        pass
    if hasattr(answer, "close"):
        answer.close()
    expected = "403" if fleet.is_blocked(number) else "200"
    if not statuses[0].startswith(expected):
        raise BenchmarkFailed(f"device {number} was answered {statuses[0]}")


def _resident() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    print(json.dumps(work(int(sys.argv[1]), sys.argv[2])))
