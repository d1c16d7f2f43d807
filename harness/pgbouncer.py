"""A real PgBouncer in front of a PostgreSQL server, with transaction pooling."""

import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.postgres import Postgres
from harness.real_server import free_port, launch, terminating, wait_until

PROGRAM = os.environ.get("PGBOUNCER", "/usr/sbin/pgbouncer")
"""The program. ``/usr/sbin`` is often missing from the ``PATH`` of users other than root."""


def can_keep_prepared_statements() -> bool:
    """Return whether this version has ``max_prepared_statements``."""
    printed = subprocess.run([PROGRAM, "--version"], capture_output=True, check=True, text=True)
    version = re.search(r"(\d+)\.(\d+)", printed.stdout)
    assert version is not None, printed.stdout
    return (int(version[1]), int(version[2])) >= (1, 21)


@contextmanager
def running_pgbouncer(server: Postgres, **settings: object) -> Iterator[int]:
    """Run PgBouncer and yield its port.

    Args:
        server: The PostgreSQL server that it connects to.
        settings: Additional settings, such as ``default_pool_size=4``.
    """
    folder = Path(tempfile.mkdtemp(prefix="apidevices-pgbouncer-"))
    port = free_port()
    configuration = {
        "listen_addr": "127.0.0.1",
        "listen_port": port,
        "unix_socket_dir": "",
        "auth_type": "any",
        "pool_mode": "transaction",
        "max_client_conn": 1000,
    } | settings
    lines = [f"{name} = {value}" for name, value in configuration.items()]
    database = f"* = host=127.0.0.1 port={server.port} user=postgres"
    file = folder / "pgbouncer.ini"
    file.write_text("\n".join(["[databases]", database, "[pgbouncer]", *lines, ""]))
    log = folder / "log"
    as_user: dict[str, Any] = {}
    if os.geteuid() == 0:  # PgBouncer refuses to run as root
        folder.chmod(0o755)
        as_user = {"user": "nobody", "group": "nogroup", "extra_groups": ()}
    process = launch([PROGRAM, str(file)], log, cwd=folder, **as_user)

    def is_up() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            return False
        return True

    try:
        with terminating(process):
            wait_until(is_up)
            yield port
    finally:
        shutil.rmtree(folder)
