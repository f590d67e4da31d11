"""The download client for large bodies, run as a process of its own: plain sockets and one 256 KB buffer.

    python -m bench.reader '{"port": 8080, "path": "/f", "headers": {}, "connections": 4, "count": 8}'

Keys: count: downloads in all. rate: bytes a second for each connection, 0 for as fast as possible. seconds: stop after
this time, 0 for when all are done. discard: the kernel drops the bodies' bytes instead of copying them, for more
clients than one CPU could copy for. It prints one JSON object: bytes, seconds, first (seconds to the first body byte of
the slowest connection), done and errors (a status other than 200, or a body that ended early). Loopback only.
"""

import json
import selectors
import socket
import sys
import time
from typing import Any

_SIZE = 256 * 1024


class Connection:
    """One keep-alive connection and the download that runs on it."""

    def __init__(self, port: int, request: bytes, started: float, *, discards: bool) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.request = request
        self.started = started
        self.flags = socket.MSG_TRUNC if discards else 0  # tcp(7): the bytes are counted and dropped
        self.first: float | None = None
        self.read = 0
        self.left = 0
        self.head = b""
        self.in_body = False

    def ask(self) -> None:
        """Send the request for the next download."""
        self.head, self.in_body = b"", False
        self.socket.sendall(self.request)

    def receive(self, buffer: bytearray, limit: int) -> bool:
        """Take what is there, at most `limit` bytes; True when the download is complete, OSError when it is broken."""
        got = self.socket.recv_into(buffer, min(limit, _SIZE), self.flags if self.in_body else 0)
        if got == 0:
            raise ConnectionError("ended early")
        if not self.in_body:
            self.head += buffer[:got]
            head, separator, body = self.head.partition(b"\r\n\r\n")
            if not separator:
                return False
            self._start_body(head)
            got = len(body)
        if got and self.first is None:
            self.first = time.perf_counter() - self.started
        self.read += got
        self.left -= got
        return self.left <= 0

    def _start_body(self, head: bytes) -> None:
        status, *lines = head.decode("latin-1").split("\r\n")
        if status.split(" ")[1] != "200":
            raise ConnectionError(status)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self.left = int(headers["content-length"])
        self.in_body = True


def main(wanted: dict[str, Any]) -> dict[str, Any]:
    """Download as told; see the module's docstring."""
    lines = [f"GET {wanted['path']} HTTP/1.1", f"Host: 127.0.0.1:{wanted['port']}"]
    lines += [f"{name}: {value}" for name, value in wanted.get("headers", {}).items()]
    request = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    to_start, rate, end = wanted["count"], wanted.get("rate", 0), wanted.get("seconds", 0)
    started = time.perf_counter()
    selector, buffer = selectors.DefaultSelector(), bytearray(_SIZE)
    done = errors = 0
    discards = bool(wanted.get("discard"))
    count = min(wanted["connections"], to_start)
    connections = [Connection(wanted["port"], request, started, discards=discards) for _ in range(count)]
    for connection in connections:
        connection.ask()
        to_start -= 1
        selector.register(connection.socket, selectors.EVENT_READ, connection)
    while selector.get_map() and not (end and time.perf_counter() - started > end):
        due = time.perf_counter() - started
        ready = selector.select(0.05)
        taken = False
        for key, _ in ready:
            connection = key.data
            limit = int(rate * due) - connection.read if rate else _SIZE
            if limit <= 0:
                continue
            taken = True
            try:
                complete = connection.receive(buffer, limit)
            except (OSError, ValueError, KeyError):
                errors += 1
                selector.unregister(connection.socket)
                continue
            if complete:
                done += 1
                if to_start:
                    to_start -= 1
                    connection.ask()
                else:
                    selector.unregister(connection.socket)
        if not taken:
            time.sleep(0.01)
    seconds = time.perf_counter() - started
    for connection in connections:
        connection.socket.close()
    first = max((connection.first or seconds for connection in connections), default=0.0)
    read = sum(connection.read for connection in connections)
    return {"bytes": read, "seconds": seconds, "first": first, "done": done, "errors": errors}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
