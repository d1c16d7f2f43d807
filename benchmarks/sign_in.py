"""The API while 32 clients guess passwords: its latency, and the memory of a worker.

``python -m benchmarks.sign_in PORT SECONDS`` runs the guessers and prints how many guesses they
made, by status of the response.
"""

import json
import random
import re
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from threading import Thread
from urllib.parse import urlencode

from benchmarks import fleet, goals
from benchmarks.checkouts import Checkout
from benchmarks.context import BenchmarkFailed, Run, check, show_progress
from benchmarks.databases import Backend
from benchmarks.load import Load, Requests, raw_request
from benchmarks.processes import Usage, memory_of
from benchmarks.report import Table, median
from harness.real_server import ROOT, RealServer

GUESSERS = 32
RATE = 100
"""API requests per second."""

_EMAIL = "administrator@example.com"
_NONE, _ONE_ADDRESS, _MANY_ADDRESSES = "nobody", "one address", "an address per guess"
_CSRF_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


@dataclass(frozen=True, slots=True)
class Round:
    """The API during one kind of guesses.

    ``cores`` is the CPU time of the server per second, and ``memory`` is that of its largest
    process, at most.
    """

    load: Load
    cores: float
    memory: float
    statuses: Counter[str]


def measure(run: Run) -> Table:
    """Measure the API without guessers, then with guessers from one and from many addresses."""
    seconds = run.pick(15, 4)
    table = Table(
        f"sign-in: the API while {GUESSERS} clients guess passwords",
        notes=[
            f"GET /api/v1/device of known devices, {RATE} times per second, for {seconds} s. A"
            " duration starts when the request was due.",
            f"{GUESSERS} threads of one other process open the sign-in page and send a wrong"
            f" password, again and again. “{_ONE_ADDRESS}”: for an existing account."
            f" “{_MANY_ADDRESSES}”: for another email address each time, too, so that no limit per"
            " account or address ever applies.",
            "“cores”: CPU time of the server per second.",
            "“MB”: largest resident memory of a process of the server, looked up every 20 ms.",
        ],
    )
    requests = Requests(
        run.folder / "device",
        (raw_request(device, run.token, path="/api/v1/device") for device in fleet.callers()),
    )
    for backend in run.backends:
        with run.databases(backend, "sign_in") as urls:
            for checkout, url in urls.items():
                _measure_checkout(run, backend, checkout, url, requests, seconds, table)
    return table


def _measure_checkout(
    run: Run,
    backend: Backend,
    checkout: Checkout,
    url: str,
    requests: Requests,
    seconds: int,
    table: Table,
) -> None:
    instance = run.folder / f"sign-in-{checkout.slug}"
    baseline = 0.0
    for number, guessers in enumerate((_NONE, _ONE_ADDRESS, _MANY_ADDRESSES)):
        with checkout.server(instance, url, {"APIDEVICES_PROXIES": "1"}) as server:
            if not number:
                _create_account(server)
            requests.send(server.port, 1)
            rounds = [
                _run_round(server, requests, guessers, seconds) for _ in run.rounds(3, quick=1)
            ]
        p99 = median([round_.load.p99_ms for round_ in rounds])
        baseline = baseline or p99
        statuses = sum((round_.statuses for round_ in rounds), Counter())
        show_progress(f"{backend.name}, {checkout.name}, {guessers}: p99 {p99:.3g} ms")
        table.rows.append(
            {
                "database": backend.name,
                "what": checkout.name,
                "guesses from": guessers,
                "p50 ms": median([round_.load.p50_ms for round_ in rounds]),
                "p99 ms": p99,
                "cores": median([round_.cores for round_ in rounds]),
                "MB": max(round_.memory for round_ in rounds),
                "guesses/s": statuses.total() / seconds / len(rounds),
                "refused/s": statuses["429"] / seconds / len(rounds),
            }
        )
        if number and not checkout.commit:
            subject = f"{backend.name}, {guessers}"
            table.goal_results.append(goals.P99_WITH_GUESSERS.evaluate(subject, p99 / baseline))


def _create_account(server: RealServer) -> None:
    arguments = ("apidevices", "create-user", _EMAIL, "--password-stdin")
    done = server.flask(*arguments, stdin="the benchmark's password\n")
    check(done.returncode == 0, f"create-user failed: {done.stderr}")


def _run_round(server: RealServer, requests: Requests, guessers: str, seconds: int) -> Round:
    before, started = Usage.of(server.process.pid), time.monotonic()
    with memory_of(server.process.pid) as sizes:
        if guessers == _NONE:
            load, statuses = requests.send_at(RATE, server.port, seconds), Counter[str]()
        else:
            options = [server.port, seconds + 2, int(guessers == _MANY_ADDRESSES)]
            command = [sys.executable, "-m", "benchmarks.sign_in", *map(str, options)]
            process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
            time.sleep(1)
            load = requests.send_at(RATE, server.port, seconds)
            statuses = Counter(json.loads(process.communicate()[0]))
            check(process.returncode == 0, "the guessers failed")
    check(not load.failure, load.failure)
    used = Usage.of(server.process.pid) - before
    return Round(load, used.cpu / (time.monotonic() - started), max(sizes), statuses)


def guess(port: int, seconds: float, *, many_addresses: bool) -> Counter[str]:
    """Guess passwords in parallel, and count the responses by status."""
    statuses: Counter[str] = Counter()
    deadline = time.monotonic() + seconds

    def run(number: int) -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        while time.monotonic() < deadline:
            headers = {"X-Forwarded-For": "203.0.113.1"}
            email = _EMAIL
            if many_addresses:
                headers["X-Forwarded-For"] = ".".join(str(random.randrange(1, 255)) for _ in "1234")
                email = f"{random.randrange(10**9)}@example.com"
            try:
                statuses[_guess_once(connection, email, headers)] += 1
            except (OSError, HTTPException):
                statuses["no response"] += 1
                connection.close()
        connection.close()

    threads = [Thread(target=run, args=(number,)) for number in range(GUESSERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses


def _guess_once(connection: HTTPConnection, email: str, headers: dict[str, str]) -> str:
    connection.request("GET", "/login", headers=headers)
    page = connection.getresponse()
    found = _CSRF_TOKEN.search(page.read().decode())
    if found is None:
        raise BenchmarkFailed(f"the sign-in page was answered with {page.status}")
    cookie = (page.getheader("Set-Cookie") or "").partition(";")[0]
    fields = {"csrf_token": found[1], "email": email, "password": "a wrong password"}
    content = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": cookie}
    connection.request("POST", "/login", urlencode(fields), headers | content)
    response = connection.getresponse()
    response.read()
    return str(response.status)


if __name__ == "__main__":
    port, seconds, many_addresses = sys.argv[1:]
    print(json.dumps(guess(int(port), float(seconds), many_addresses=many_addresses == "1")))
