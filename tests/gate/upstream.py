"""An API without Flask or API Devices that echoes the requests it receives."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Upstream:
    """A running API on ``port``; ``seen`` lists the requests that reached it."""

    port: int = 0
    seen: list[str] = field(default_factory=list)


@contextmanager
def upstream(allow_origin: str = "") -> Iterator[Upstream]:
    """Run the API in a thread. Pages on ``allow_origin`` may call it."""
    running = Upstream()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # send the body without a delay

        def do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            running.seen.append(f"{self.command} {self.path}")
            exists = self.path.partition("?")[0] == "/orders"
            response = json.dumps(
                {
                    "method": self.command,
                    "path": self.path,
                    "body": body.decode(),
                    "headers": {name.lower(): value for name, value in self.headers.items()},
                }
            ).encode()
            self.send_response(200 if exists else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(response)))
            if allow_origin:
                self.send_header("Access-Control-Allow-Origin", allow_origin)
                self.send_header("Access-Control-Allow-Headers", "authorization, x-device-id")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(response)

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = do  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 128

        def handle_error(self, *_: object) -> None:
            """Ignore connections that a proxy resets when it stops."""

    server = Server(("127.0.0.1", 0), Handler)
    running.port = server.server_port
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
