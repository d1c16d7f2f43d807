"""A TCP proxy that interrupts a response: ``python -m harness.stalling_proxy PORT BYTES SECONDS``.

It prints its own port. After a line on standard input, it passes on that many bytes of the server's
next response, and the rest some seconds later. It is a process of its own, because a thread would
stand still while another one blocks with the interpreter lock.
"""

import socket
import sys
import threading
import time


def main() -> None:
    """Run until killed."""
    port, size, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    stall = threading.Event()

    def wait_for_command() -> None:
        for _ in sys.stdin:
            stall.set()

    def copy(source: socket.socket, target: socket.socket, *, from_server: bool) -> None:
        while data := source.recv(65536):
            if from_server and stall.is_set():
                stall.clear()
                target.sendall(data[:size])
                time.sleep(seconds)
                data = data[size:]
            target.sendall(data)
        target.close()

    threading.Thread(target=wait_for_command, daemon=True).start()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            client, _ = listener.accept()
            server = socket.create_connection(("127.0.0.1", port))
            for ends, is_server in (((client, server), False), ((server, client), True)):
                threading.Thread(
                    target=copy, args=ends, kwargs={"from_server": is_server}, daemon=True
                ).start()


if __name__ == "__main__":
    main()
