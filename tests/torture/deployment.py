"""Kill the processes of a deployment at random, and restart them like a supervisor."""

import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

from harness.postgres import Postgres
from harness.real_server import RealServer
from tests.torture.ledger import Ledger


class Deployment:
    """The server and its PostgreSQL.

    Args:
        server: The running server.
        postgres: The running PostgreSQL server. None if the server uses SQLite.
        ledger: Records the kills.
        rng: Makes all random choices.
    """

    def __init__(
        self, server: RealServer, postgres: Postgres | None, ledger: Ledger, rng: random.Random
    ) -> None:
        self.slowest_restart = 0.0
        self._server = server
        self._postgres = postgres
        self._ledger = ledger
        self._rng = rng

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
        """Kill a worker, possibly one that is still starting. The master replaces it."""
        if workers := _children(self._server.process.pid):
            with suppress(ProcessLookupError):
                os.kill(self._rng.choice(workers), signal.SIGKILL)
            self._ledger.record_kill("worker", workers=True)

    def _kill_master(self) -> None:
        """Kill only the master. Its workers notice, finish their requests and exit."""
        self._server.process.kill()
        self._ledger.record_kill("master", workers=False)
        self._start_server()

    def _kill_all(self) -> None:
        """Kill the master and all its workers."""
        self._kill_server("master and workers")
        self._start_server()

    def _kill_postmaster(self) -> None:
        """Kill PostgreSQL and restart it after a while."""
        assert self._postgres is not None
        with self._ledger.outage():
            self._postgres.kill()
            self._ledger.record_kill("postmaster", workers=False)
            time.sleep(self._rng.uniform(0, 1.5))
            if self._rng.random() < 0.3:
                self._kill_worker()  # its replacement starts without a database
            self._postgres.start()

    def _start_server(self, seconds: float = 60) -> None:
        """Start masters until one stays up: the port may still be in use by old workers."""
        started = time.monotonic()
        if self._rng.random() < 0.2:
            self._launch()
            time.sleep(self._rng.uniform(0, 2))
            self._kill_server("server during startup")
        self._launch()
        while not (_children(self._server.process.pid) and self._server.is_ready()):
            assert time.monotonic() < started + seconds, "the server did not restart"
            if self._server.process.poll() is not None:
                self._launch()
            time.sleep(0.05)
        self.slowest_restart = max(self.slowest_restart, time.monotonic() - started)

    def _launch(self) -> None:
        self._server.process.wait()
        self._server.launch()

    def _kill_server(self, victim: str) -> None:
        master = self._server.process.pid
        workers = _children(master)
        for pid in (master, *workers):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._ledger.record_kill(victim, workers=bool(workers))


def _children(pid: int) -> list[int]:
    """Return the child processes of a running process (Linux only)."""
    try:
        return [*map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
    except OSError:
        return []
