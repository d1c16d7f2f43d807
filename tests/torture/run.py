"""One run: load, kills, checks and a report."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from apidevices.config import Settings
from harness.postgres import Postgres
from harness.real_server import UNLIMITED, RealServer, wait_until
from tests.torture.checks import Audit
from tests.torture.clients import AdministratorClient, Client, DeviceClient
from tests.torture.deployment import Deployment
from tests.torture.ledger import Ledger

FLUSH_INTERVAL: float = Settings().activity_interval
ALLOWED_DELAY = 0.5
"""Seconds that activity may be late in addition to the flush interval: on an overloaded machine,
the flush thread waits to be scheduled and its write waits for other writes."""

UNEXPECTED_IN_LOG = ("Traceback", "Internal Server Error", "Error handling request")
"""Text that must not appear in the server's log, no matter what was killed."""

DEVICE_CLIENTS = 8
WORKERS = 3


@dataclass(frozen=True)
class Plan:
    """The parameters of a run.

    Args:
        database: ``sqlite`` or ``postgresql``.
        kills: Number of times to kill workers or masters.
        seed: Makes the choice of victims reproducible.
        postmaster_kills: Number of times to kill PostgreSQL.
        max_pause: Maximum seconds between two kills.
    """

    database: str
    kills: int
    seed: int
    postmaster_kills: int = 0
    max_pause: float = 3

    def victims(self, rng: random.Random) -> list[str]:
        """Return what to kill, in order."""
        kinds = rng.choices(("worker", "master", "all"), (75, 15, 10), k=self.kills)
        victims = [*kinds, *["postmaster"] * self.postmaster_kills]
        rng.shuffle(victims)
        return victims


@dataclass
class Report:
    """The result of a run."""

    plan: Plan
    ledger: Ledger
    audit: Audit
    slowest_restart: float
    unexpected_log: list[str]

    @property
    def wrong_responses(self) -> list[str]:
        """Responses that the server must never send."""
        unjustified = [
            f"503 after {span.ended - span.started:.3f} s, with the database available"
            for span in self.ledger.unjustified_503s
        ]
        return [*self.ledger.wrong_responses, *unjustified]

    @property
    def failures(self) -> list[str]:
        """All failures, one line each. Empty after a successful run."""
        audit = self.audit
        kinds = {
            "lost": audit.lost,
            "duplicate": audit.duplicates,
            "inconsistent": audit.inconsistencies,
            "wrong response": self.wrong_responses,
            "log": self.unexpected_log,
        }
        return [f"{kind}: {failure}" for kind, failures in kinds.items() for failure in failures]

    @property
    def rows(self) -> list[tuple[str, object]]:
        """The rows of the report's table: a label and its value."""
        ledger, audit = self.ledger, self.audit
        allowed = f"{FLUSH_INTERVAL} + {ALLOWED_DELAY}"
        return [
            *((f"killed: {kind}", count) for kind, count in sorted(ledger.kills.items())),
            ("slowest restart, s", round(self.slowest_restart, 1)),
            *((f"responses: {kind}", count) for kind, count in sorted(ledger.responses.items())),
            ("slowest response, s", round(ledger.slowest_response, 1)),
            *((f"acknowledged: {kind}", n) for kind, n in sorted(ledger.acknowledged.items())),
            ("lost", len(audit.lost)),
            ("duplicates", len(audit.duplicates)),
            ("inconsistencies in the database", len(audit.inconsistencies)),
            ("wrong responses", len(self.wrong_responses)),
            ("unexpected lines in the log", len(self.unexpected_log)),
            ("requests whose activity was lost in a kill", audit.lost_calls),
            (f"oldest of these, s (allowed: {allowed})", round(audit.oldest_lost, 3)),
        ]


def torture(
    plan: Plan, folder: Path, report_progress: Callable[[str], None] = lambda _: None
) -> Report:
    """Run a plan in an empty folder."""
    rng = random.Random(plan.seed)  # noqa: S311 - not cryptographic
    ledger = Ledger()
    audit = Audit(ledger, FLUSH_INTERVAL + ALLOWED_DELAY)
    with ExitStack() as stack:
        postgres = stack.enter_context(Postgres()) if plan.database == "postgresql" else None
        url = postgres.url() if postgres else f"sqlite:///{folder / 'devices.sqlite3'}"
        variables = {"DATABASE_URL": url, "WEB_CONCURRENCY": str(WORKERS), **UNLIMITED}
        server = stack.enter_context(RealServer(folder / "instance", variables=variables))
        token = server.create_token("torture", "devices:read", "devices:write")
        deployment = Deployment(server, postgres, ledger, rng)
        with _load(server, token, ledger, plan.seed):
            for number, victim in enumerate(plan.victims(rng), start=1):
                time.sleep(rng.uniform(0.1, plan.max_pause))
                report_progress(f"{number}: {victim}, after {ledger.responses.total()} requests")
                deployment.kill(victim)
            wait_until(server.is_ready, 30)
            time.sleep(1)
        time.sleep(FLUSH_INTERVAL + ALLOWED_DELAY)
        audit.check_server(server, token)
        server.stop()
        audit.check_database(url)
        log = [
            line
            for line in server.log.splitlines()
            if any(unexpected in line for unexpected in UNEXPECTED_IN_LOG)
        ]
        if postgres is not None:
            audit.inconsistencies += postgres.corrupt_pages()
            log += [line for line in postgres.log.splitlines() if "deadlock detected" in line]
    return Report(plan, ledger, audit, deployment.slowest_restart, log)


@contextmanager
def _load(server: RealServer, token: str, ledger: Ledger, seed: int) -> Iterator[None]:
    clients: list[Client] = [
        *(
            DeviceClient(server, token, ledger, f"{seed}-{number}")
            for number in range(DEVICE_CLIENTS)
        ),
        AdministratorClient(server, token, ledger, f"{seed}-administrator"),
    ]
    for client in clients:
        client.start()
    try:
        yield
    finally:
        for client in clients:
            client.request_stop()
        for client in clients:
            client.join()
