"""A proxy between a client and PostgreSQL that counts round trips, rather than believe in them."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from select import select
from socketserver import BaseRequestHandler, ThreadingTCPServer

_IN_TRANSACTION = (b"Z\0\0\0\5T", b"Z\0\0\0\5E")  # how such an answer ends, by the protocol


class CountingProxy(ThreadingTCPServer):
    """Passes everything on; a round trip is what a client sends until the server answers.

    ``in_transaction`` counts the answers after which a transaction is open.

    Args:
        server_port: where the server listens on this machine.
    """

    daemon_threads = True

    def __init__(self, server_port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.server_port = server_port
        self.port: int = self.socket.getsockname()[1]
        self.round_trips = 0
        self.in_transaction = 0


class _Connection(BaseRequestHandler):
    server: CountingProxy
    request: socket.socket

    def handle(self) -> None:
        """Pass on what either side sends, until one of them hangs up."""
        asking = False
        with socket.create_connection(("127.0.0.1", self.server.server_port)) as database:
            for end in (self.request, database):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                for source in select([self.request, database], [], [])[0]:
                    if not (data := source.recv(65536)):
                        return
                    if source is database:
                        asking = False
                        self.server.in_transaction += data.endswith(_IN_TRANSACTION)
                        self.request.sendall(data)
                    else:
                        self.server.round_trips += not asking
                        asking = True
                        database.sendall(data)


@contextmanager
def counting_proxy(server_port: int) -> Iterator[CountingProxy]:
    """Run a proxy in a thread of its own."""
    with CountingProxy(server_port) as proxy:
        threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
