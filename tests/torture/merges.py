"""Merge devices under load while processes are killed: ``python -m tests.torture.merges``.

Each pair is one device with an old and a new identifier, which calls and uploads with both. An
administrator blocks some of the pairs before or after the merge, and retries until a response says
that it is done. The server is killed all the time. In the end, each pair is either merged or not:
nothing is half done, no acknowledged upload is lost, and no block is lifted.
"""

import argparse
import http.client
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

from apidevices.database import engine_options
from apidevices.standalone.settings import ServerSettings
from harness.postgres import Postgres
from harness.real_server import UNLIMITED, RealServer, wait_until
from tests.conftest import DEVICES, UPLOADS, as_device
from tests.torture.checks import INCONSISTENCIES, check_postgresql, check_sqlite
from tests.torture.deployment import Deployment
from tests.torture.ledger import Ledger

WORKERS = 3
CLIENTS = 6
PAUSE = 0.05
"""Seconds that a client waits after a failed request."""

# Merged devices have several registrations.
CHECKS = {
    **{name: query for name, query in INCONSISTENCIES.items() if "registration" not in name},
    "an identifier is a device's and an alias": """
        SELECT d.identifier FROM apidevices_devices d
        JOIN apidevices_device_aliases a ON a.identifier = d.identifier""",
    "a merged device still exists": """
        SELECT d.id FROM apidevices_devices d
        JOIN apidevices_device_aliases a ON a.former_id = d.id""",
    "an alias has no history entry": """
        SELECT a.identifier FROM apidevices_device_aliases a WHERE (
            SELECT count(*) FROM apidevices_device_history h
            WHERE h.device_id = a.device_id AND h.kind = 'merged') <> 1""",
    "a merged device does not have exactly two registrations": """
        SELECT a.identifier FROM apidevices_device_aliases a WHERE (
            SELECT count(*) FROM apidevices_device_history h
            WHERE h.device_id = a.device_id AND h.kind = 'registered') <> 2""",
}


@dataclass
class Pair:
    """What the server has acknowledged about the two identifiers of a device."""

    name: str
    ids: dict[str, int] = field(default_factory=dict)
    uploads: set[int] = field(default_factory=set)
    is_merging: bool = False
    is_merged: bool = False
    blocked: set[str] = field(default_factory=set)
    """The identifiers for which a block has been acknowledged."""

    def denies(self, which: str) -> bool:
        """Return whether requests with an identifier must be denied."""
        return which in self.blocked or (self.is_merged and bool(self.blocked))


class Client(threading.Thread):
    """Makes one request after another until it is stopped."""

    def __init__(self, server: RealServer, token: str, run: "Run") -> None:
        super().__init__()
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        self._token, self._run = token, run
        self._rng = random.Random(run.rng.random())  # noqa: S311 - not cryptographic

    def run(self) -> None:
        """Make requests."""
        try:
            while not self._run.stopping.is_set():
                self.step()
        except Exception as error:
            self._run.wrong.append(f"a client crashed: {error!r}")

    def step(self) -> None:
        """Call or upload as one of the devices."""
        pair = self._rng.choice(self._run.pairs[-30:])
        which = self._rng.choice(("old", "new"))
        must_be_denied = pair.denies(which)
        headers = as_device(self._token, f"{pair.name}-{which}", os="iOS")
        response = self.call("POST", UPLOADS, headers, {"at": time.time_ns()})
        if response is None:
            return
        status, body = response
        self._run.statuses[status] += 1
        if status == 201:
            pair.uploads.add(body["id"])
            if must_be_denied:
                self._run.wrong.append(f"{pair.name}-{which} got past its block")
        elif status == 403 and not (pair.blocked or pair.is_merging):
            self._run.wrong.append(f"{pair.name}-{which} is not blocked: {body}")
        elif status not in (403, 503):
            self._run.wrong.append(f"{pair.name}-{which}: {status} {body}")

    def call(
        self, method: str, path: str, headers: dict[str, str], body: object = None
    ) -> tuple[int, Any] | None:
        """Return the status and the JSON of a response; None if there was none."""
        content = None if body is None else json.dumps(body)
        try:
            headers = {**headers, "Content-Type": "application/json"}
            self._connection.request(method, path, content, headers)
            response = self._connection.getresponse()
            return response.status, json.loads(response.read() or b"null")
        except (OSError, http.client.HTTPException):
            self._connection.close()
            time.sleep(PAUSE)
            return None


class Administrator(Client):
    """Registers pairs, then blocks and merges them."""

    def step(self) -> None:
        """Take one pair through its life."""
        pair = Pair(f"pair-{next(self._run.numbers):05}")
        for which in ("old", "new"):
            headers = as_device(self._token, f"{pair.name}-{which}", os="iOS")
            while self._must_go_on(response := self.call("GET", "/api/v1/device", headers)):
                pass
            if response is None or response[0] != 200:
                return
            pair.ids[which] = response[1]["id"]
        self._run.pairs.append(pair)
        if self._rng.random() < 0.3:
            self._block(pair, self._rng.choice(("old", "new")))
        time.sleep(self._rng.uniform(0, 0.1))
        self._merge(pair)
        if pair.is_merged and self._rng.random() < 0.4:
            self._block(pair, "new")

    def _must_go_on(self, response: tuple[int, Any] | None) -> bool:
        is_unclear = response is None or response[0] == 503
        return is_unclear and not self._run.stopping.is_set()

    def _block(self, pair: Pair, which: str) -> None:
        path = f"{DEVICES}/{pair.ids[which]}/block"
        pair.is_merging = True  # 403 may precede the response
        while self._must_go_on(response := self.call("POST", path, self._headers, {})):
            pass
        if response is not None and response[0] == 200:
            pair.blocked.add(which)
            self._run.done["blocks"] += 1

    def _merge(self, pair: Pair) -> None:
        pair.is_merging = True
        path, body = f"{DEVICES}/{pair.ids['new']}/merge", {"from": pair.ids["old"]}
        while self._must_go_on(response := self.call("POST", path, self._headers, body)):
            pass
        if response is None or response[0] == 503:
            return
        is_repeated = response[0] == 404 and "was merged into" in response[1]["detail"]
        if response[0] != 200 and not is_repeated:
            self._run.wrong.append(f"merge of {pair.name}: {response}")
            return
        pair.is_merged = True
        self._run.done["merges acknowledged twice" if is_repeated else "merges"] += 1

    @property
    def _headers(self) -> dict[str, str]:
        return as_device(self._token, None)


@dataclass
class Run:
    """The state of a run."""

    rng: random.Random
    pairs: list[Pair] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=count)
    wrong: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    stopping: threading.Event = field(default_factory=threading.Event)


def torture(database: str, kills: int, seed: int, folder: Path) -> Run:
    """Kill processes at random times during merges; return what happened."""
    run, ledger = Run(random.Random(seed)), Ledger()  # noqa: S311 - not cryptographic
    with ExitStack() as stack:
        postgres = stack.enter_context(Postgres()) if database == "postgresql" else None
        url = postgres.url() if postgres else f"sqlite:///{folder / 'devices.sqlite3'}"
        variables = {"DATABASE_URL": url, "WEB_CONCURRENCY": str(WORKERS), **UNLIMITED}
        server = stack.enter_context(RealServer(folder / "instance", variables=variables))
        token = server.create_token("torture", "devices:read", "devices:write")
        deployment = Deployment(server, postgres, ledger, run.rng)
        administrators = [Administrator(server, token, run) for _ in range(2)]
        for administrator in administrators:
            administrator.step()
        clients = [*administrators, *(Client(server, token, run) for _ in range(CLIENTS))]
        for client in clients:
            client.start()
        victims = ["worker"] * 6 + ["all"] * 3 + (["postmaster"] if postgres else [])
        for _ in range(kills):
            time.sleep(run.rng.uniform(0.1, 1.5))
            deployment.kill(run.rng.choice(victims))
        wait_until(server.is_ready, 30)
        time.sleep(2)
        run.stopping.set()
        for client in clients:
            client.join()
        listed = {device["identifier"]: device for device in server.devices()}
        run.wrong += [line for line in server.log.splitlines() if "Traceback" in line]
        server.stop()
        _check_pairs(run, listed)
        _check_database(run, url)
        if postgres is not None:
            run.wrong += [line for line in postgres.log.splitlines() if "deadlock" in line]
    run.done.update({f"killed: {victim}": number for victim, number in ledger.kills.items()})
    return run


def _check_pairs(run: Run, listed: dict[str, Any]) -> None:
    for pair in run.pairs:
        old, new = listed.get(f"{pair.name}-old"), listed.get(f"{pair.name}-new")
        aliases = [f"{pair.name}-old"]
        if new is None or new["aliases"] not in ([], aliases):
            run.wrong.append(f"{pair.name} is {old} and {new}")
        elif (new["aliases"] == aliases) == (old is not None):
            run.wrong.append(f"{pair.name} is half merged: {old} and {new}")
        elif pair.is_merged and old is not None:
            run.wrong.append(f"the merge of {pair.name} is lost")
        else:
            states = {"old": (old or new)["status"], "new": new["status"]}
            lifted = [which for which in pair.blocked if states[which] != "blocked"]
            run.wrong += [f"the block of {pair.name}-{which} was lifted" for which in lifted]


def _check_database(run: Run, url: str) -> None:
    checked = ServerSettings(database_url=url).url
    engine = create_engine(checked, **engine_options(checked, 1))
    with engine.connect() as connection:
        stored = connection.execute(text("SELECT id, device_id FROM apidevices_uploads"))
        owners: dict[int, int] = {id_: device_id for id_, device_id in stored}
        for pair in run.pairs:
            lost = [id_ for id_ in pair.uploads if owners.get(id_, 0) not in pair.ids.values()]
            run.wrong += [f"upload {id_} of {pair.name} is lost" for id_ in lost]
        for name, query in CHECKS.items():
            if rows := connection.execute(text(query)).fetchmany(5):
                run.wrong.append(f"{name}: {rows}")
        check = check_sqlite if engine.dialect.name == "sqlite" else check_postgresql
        run.wrong += check(connection)
    engine.dispose()


def main() -> int:
    """Run the test on each requested database and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture.merges")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), action="append")
    parser.add_argument("--kills", type=int, default=40, help="how many times to kill processes")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    has_failed = False
    for database in options.database or ("sqlite", "postgresql"):
        run = torture(database, options.kills, options.seed, Path(tempfile.mkdtemp()))
        uploads = sum(len(pair.uploads) for pair in run.pairs)
        print(database, dict(run.done), dict(run.statuses), f"uploads: {uploads}", flush=True)
        print(*run.wrong[:50], f"{len(run.wrong)} failures", sep="\n", flush=True)
        has_failed = has_failed or bool(run.wrong)
    return int(has_failed)


if __name__ == "__main__":
    sys.exit(main())
