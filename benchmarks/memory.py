"""Memory growth of a worker over one request from each of a million devices.

``python -m benchmarks.memory DEVICES TOKEN`` runs the worker and prints its results as JSON.
"""

import json
import os
import subprocess
import sys
import time
from typing import Any

from benchmarks import fleet, goals
from benchmarks.applications import tracked
from benchmarks.context import BenchmarkFailed, Run, check, show_progress
from benchmarks.databases import close
from benchmarks.report import Table
from harness.real_server import ROOT, clean_environment

WARM_UP = 10_000

MEGABYTE = 1024 * 1024


def measure(run: Run) -> Table:
    """Measure how much a worker grows while it serves one request from each device."""
    requests = run.pick(1_000_000, 100_000)
    table = Table(
        "memory: a worker after one request from each of many devices",
        notes=[
            f"One process calls the tracked application through WSGI: {WARM_UP:,} warm-up requests,"
            " then one per device. The activity thread writes as in production.",
            "Resident memory from /proc/self/statm. Blocked devices are denied, all others served.",
        ],
    )
    for backend in run.backends:
        show_progress(f"{backend.name}: inserting {requests:,} devices")
        url = backend.shared_database(requests)
        show_progress(f"{backend.name}: {requests:,} requests")
        finished = subprocess.run(
            [sys.executable, "-m", "benchmarks.memory", str(requests), run.token],
            cwd=ROOT,
            env=clean_environment(DATABASE_URL=url),
            capture_output=True,
            text=True,
        )
        check(not finished.returncode, f"the worker failed:\n{finished.stderr}")
        result = json.loads(finished.stdout)
        table.rows.append({"database": backend.name, "requests": requests, **result})
        table.goal_results.append(goals.MEMORY_GROWTH.evaluate(backend.name, result["growth MB"]))
    return table


def work(requests: int, token: str) -> dict[str, float]:
    """Serve one request from each device. Return the memory use in megabytes."""
    app = tracked.create_app(os.environ["DATABASE_URL"])
    for number in range(WARM_UP):
        _send_request(app.wsgi_app, number % requests, token)
    before = highest = _resident_bytes()
    started = time.monotonic()
    for number in range(requests):
        _send_request(app.wsgi_app, number, token)
        if number % 10_000 == 0:
            highest = max(highest, _resident_bytes())
    seconds = time.monotonic() - started
    close(app)
    after = _resident_bytes()
    return {
        "before MB": before / MEGABYTE,
        "after MB": after / MEGABYTE,
        "highest MB": max(highest, after) / MEGABYTE,
        "growth MB": (after - before) / MEGABYTE,
        "requests/s": requests / seconds,
    }


def _send_request(application: Any, number: int, token: str) -> None:
    """Call the application with a request from a device.

    Raises:
        BenchmarkFailed: The response has an unexpected status.
    """
    statuses: list[str] = []
    environ = fleet.environ(fleet.device(number), token)
    response = application(
        environ, lambda status, _headers, _exception=None: statuses.append(status)
    )
    for _ in response:
        pass
    if hasattr(response, "close"):
        response.close()
    expected = "403" if fleet.is_blocked(number) else "200"
    if not statuses[0].startswith(expected):
        raise BenchmarkFailed(f"device {number} got {statuses[0]}, not {expected}")


def _resident_bytes() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    print(json.dumps(work(int(sys.argv[1]), sys.argv[2])))
