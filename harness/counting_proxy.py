"""A proxy in front of a server that counts connections, and round trips of PostgreSQL."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from select import select
from socketserver import BaseRequestHandler, ThreadingTCPServer

_IN_TRANSACTION = (b"Z\0\0\0\5T", b"Z\0\0\0\5E")  # ReadyForQuery in a transaction


class CountingProxy(ThreadingTCPServer):
    """Forwards all data and counts connections and round trips.

    A round trip is all data that the client sends before the server responds. ``in_transaction``
    counts the responses that leave a transaction open.

    Args:
        server_port: The local port of the server.
    """

    daemon_threads = True

    def __init__(self, server_port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.server_port = server_port
        self.port: int = self.socket.getsockname()[1]
        self.connections = 0
        self.round_trips = 0
        self.in_transaction = 0


class _Connection(BaseRequestHandler):
    server: CountingProxy
    request: socket.socket

    def handle(self) -> None:
        """Forward data in both directions until one side closes the connection."""
        self.server.connections += 1
        awaiting_response = False
        with socket.create_connection(("127.0.0.1", self.server.server_port)) as database:
            for end in (self.request, database):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                for source in select([self.request, database], [], [])[0]:
                    if not (data := source.recv(65536)):
                        return
                    if source is database:
                        awaiting_response = False
                        self.server.in_transaction += data.endswith(_IN_TRANSACTION)
                        self.request.sendall(data)
                    else:
                        self.server.round_trips += not awaiting_response
                        awaiting_response = True
                        database.sendall(data)


@contextmanager
def counting_proxy(server_port: int) -> Iterator[CountingProxy]:
    """Run a proxy in a thread. Yield it."""
    with CountingProxy(server_port) as proxy:
        threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
