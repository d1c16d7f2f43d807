"""One run: load, kills, and what is left of it all."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from apidevices.config import Settings
from harness.postgres import Postgres
from harness.real_server import RealServer, wait_until
from tests.torture.checks import Audit
from tests.torture.clients import Administrator, Client, Fleet
from tests.torture.ledger import Ledger
from tests.torture.site import Site

INTERVAL: float = Settings().activity_interval
ALLOWANCE = 0.5
"""Seconds that activity may be late beyond the interval: a thread must be scheduled on a machine
that has too much to do, and its write must wait for others."""

BAD_NEWS = ("Traceback", "Internal Server Error", "Error handling request")
"""What no line of the server's log may contain, whatever was killed."""

FLEETS = 8
WORKERS = 3


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Args:
        database: ``sqlite`` or ``postgresql``.
        kills: of workers and masters.
        seed: makes the choice of kills repeatable.
        postmaster_kills: of PostgreSQL.
        pause: seconds between two kills at most.
    """

    database: str
    kills: int
    seed: int
    postmaster_kills: int = 0
    pause: float = 3

    def victims(self, chance: random.Random) -> list[str]:
        """Return what to kill, in order."""
        kinds = chance.choices(("worker", "master", "all"), (75, 15, 10), k=self.kills)
        victims = [*kinds, *["postmaster"] * self.postmaster_kills]
        chance.shuffle(victims)
        return victims


@dataclass
class Report:
    """What came of a plan."""

    plan: Plan
    ledger: Ledger
    audit: Audit
    slowest_start: float
    log: list[str]

    @property
    def wrong(self) -> list[str]:
        """Answers that should never have been given."""
        refusals = [
            f"503 after {span.ended - span.started:.3f} s, with a database"
            for span in self.ledger.needless_refusals
        ]
        return [*self.ledger.wrong, *refusals]

    @property
    def failures(self) -> list[str]:
        """Everything that is wrong, in a line each; empty after a good run."""
        audit = self.audit
        kinds = {
            "lost": audit.lost,
            "duplicate": audit.duplicates,
            "unsound": audit.unsound,
            "wrong answer": self.wrong,
            "log": self.log,
        }
        return [f"{kind}: {each}" for kind, all_ in kinds.items() for each in all_]

    @property
    def rows(self) -> list[tuple[str, object]]:
        """The table."""
        ledger, audit = self.ledger, self.audit
        return [
            *((f"killed: {kind}", count) for kind, count in sorted(ledger.kills.items())),
            ("slowest new start, s", round(self.slowest_start, 1)),
            *((f"answers: {kind}", count) for kind, count in sorted(ledger.requests.items())),
            ("slowest answer, s", round(ledger.slowest, 1)),
            *((f"acknowledged: {kind}", n) for kind, n in sorted(ledger.acknowledged.items())),
            ("lost", len(audit.lost)),
            ("duplicates", len(audit.duplicates)),
            ("contradictions in the database", len(audit.unsound)),
            ("wrong answers", len(self.wrong)),
            ("unexpected lines in the log", len(self.log)),
            ("calls whose activity a kill took", audit.lost_calls),
            (f"oldest of them, s (allowed: {INTERVAL} + {ALLOWANCE})", round(audit.oldest_lost, 3)),
        ]


def torture(plan: Plan, folder: Path, tell: Callable[[str], None] = lambda _: None) -> Report:
    """Carry out a plan in an empty folder; tells of its progress."""
    chance = random.Random(plan.seed)  # noqa: S311 - what to kill, no secret
    ledger = Ledger()
    audit = Audit(ledger, INTERVAL + ALLOWANCE)
    with ExitStack() as stack:
        postgres = stack.enter_context(Postgres()) if plan.database == "postgresql" else None
        url = postgres.url() if postgres else f"sqlite:///{folder / 'devices.sqlite3'}"
        variables = {"DATABASE_URL": url, "WEB_CONCURRENCY": str(WORKERS)}
        server = stack.enter_context(RealServer(folder / "instance", variables=variables))
        token = server.create_token("torture", "devices:read", "devices:write")
        site = Site(server, postgres, ledger, chance)
        with _load(server, token, ledger, plan.seed):
            for number, victim in enumerate(plan.victims(chance), start=1):
                time.sleep(chance.uniform(0.1, plan.pause))
                tell(f"{number}: {victim}, after {ledger.requests.total()} requests")
                site.kill(victim)
            wait_until(server.is_ready, 30)
            time.sleep(1)
        time.sleep(INTERVAL + ALLOWANCE)
        audit.ask(server, token)
        server.stop()
        audit.read(url)
        log = [line for line in server.log.splitlines() if any(map(line.__contains__, BAD_NEWS))]
        if postgres is not None:
            audit.unsound += postgres.broken_pages()
            log += [line for line in postgres.log.splitlines() if "deadlock detected" in line]
    return Report(plan, ledger, audit, site.slowest_start, log)


@contextmanager
def _load(server: RealServer, token: str, ledger: Ledger, seed: int) -> Iterator[None]:
    clients: list[Client] = [
        *(Fleet(server, token, ledger, f"{seed}-{number}") for number in range(FLEETS)),
        Administrator(server, token, ledger, f"{seed}-administrator"),
    ]
    for client in clients:
        client.start()
    try:
        yield
    finally:
        for client in clients:
            client.finish()
        for client in clients:
            client.join()
