"""The upload client, run as a process of its own: one request whose body comes from a file by sendfile.

    python -m bench.sender '{"port": 8080, "path": "/f", "method": "PUT", "headers": {}, "file": "/f", …}'

`before` and `after` are sent around the file's bytes (a multipart form). It prints one JSON object: seconds until the
whole answer's head was there, bytes sent, and the status. Loopback only.
"""

import json
import socket
import sys
import time
from pathlib import Path
from typing import Any


def main(wanted: dict[str, Any]) -> dict[str, Any]:
    """Send as told; see the module's docstring."""
    before, after = wanted["before"].encode(), wanted["after"].encode()
    file = Path(wanted["file"])
    length = len(before) + file.stat().st_size + len(after)
    lines = [f"{wanted['method']} {wanted['path']} HTTP/1.1", f"Host: 127.0.0.1:{wanted['port']}"]
    lines += [f"{name}: {value}" for name, value in wanted["headers"].items()]
    lines += [f"Content-Length: {length}", "Connection: close"]
    started = time.perf_counter()
    with socket.create_connection(("127.0.0.1", wanted["port"])) as connection, file.open("rb") as body:
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + before)
        connection.sendfile(body)
        connection.sendall(after)
        head = b""
        while b"\r\n\r\n" not in head and (part := connection.recv(65536)):
            head += part
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "bytes": length, "status": int(head.split(b" ", 2)[1])}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
