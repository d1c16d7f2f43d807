"""The processes under torture: killed at random, started again as a supervisor would."""

import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

from harness.postgres import Postgres
from harness.real_server import RealServer
from tests.torture.ledger import Ledger


class Site:
    """The server, and PostgreSQL where it is used.

    Args:
        server: is running.
        postgres: is running; None where the server uses SQLite.
        ledger: where kills are noted.
        chance: what is random here.
    """

    def __init__(
        self, server: RealServer, postgres: Postgres | None, ledger: Ledger, chance: random.Random
    ) -> None:
        self.slowest_start = 0.0
        self._server = server
        self._postgres = postgres
        self._ledger = ledger
        self._chance = chance

    def kill(self, victim: str) -> None:
        """Kill a ``worker``, the ``master``, ``all`` or the ``postmaster``."""
        kills = {
            "worker": self._kill_worker,
            "master": self._kill_master,
            "all": self._kill_all,
            "postmaster": self._kill_postmaster,
        }
        kills[victim]()

    def _kill_worker(self) -> None:
        """Kill a worker, which may not have served yet; the master starts another."""
        if workers := _children(self._server.process.pid):
            with suppress(ProcessLookupError):
                os.kill(self._chance.choice(workers), signal.SIGKILL)
            self._ledger.killed("worker", workers=True)

    def _kill_master(self) -> None:
        """Kill the master alone: its workers find out, answer what they have, and end."""
        self._server.process.kill()
        self._ledger.killed("master", workers=False)
        self._start_server()

    def _kill_all(self) -> None:
        """Kill the master and all its workers."""
        self._kill_server("master and workers")
        self._start_server()

    def _kill_postmaster(self) -> None:
        """Kill PostgreSQL, leave it so for a while, and start it again."""
        assert self._postgres is not None
        with self._ledger.outage():
            self._postgres.kill()
            self._ledger.killed("postmaster", workers=False)
            time.sleep(self._chance.uniform(0, 1.5))
            if self._chance.random() < 0.3:
                self._kill_worker()  # the next one starts where there is no database
            self._postgres.start()

    def _start_server(self, seconds: float = 60) -> None:
        """Start a master until one stays: the first may find the old workers at the port."""
        started = time.monotonic()
        if self._chance.random() < 0.2:
            self._launch()
            time.sleep(self._chance.uniform(0, 2))
            self._kill_server("server while it starts")
        self._launch()
        while not (_children(self._server.process.pid) and self._server.is_ready()):
            assert time.monotonic() < started + seconds, "the server did not start again"
            if self._server.process.poll() is not None:
                self._launch()
            time.sleep(0.05)
        self.slowest_start = max(self.slowest_start, time.monotonic() - started)

    def _launch(self) -> None:
        self._server.process.wait()
        self._server.launch()

    def _kill_server(self, what: str) -> None:
        master = self._server.process.pid
        workers = _children(master)
        for pid in (master, *workers):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._ledger.killed(what, workers=bool(workers))


def _children(pid: int) -> list[int]:
    """Return the child processes of a process that has not ended (Linux)."""
    try:
        return [*map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
    except OSError:
        return []
