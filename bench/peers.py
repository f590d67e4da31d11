"""The peers: devpi, proxpi and Verdaccio, each set up as its manual says and pinned like the product.

They are installed on demand below `.clients/peers` (`python -m tests.clients.install peers`). A peer that cannot be
installed is left out of the comparison.
"""

import base64
import json
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.load import LoadFailed
from bench.measure import SERVER_CPU
from bench.servers import Server, start
from tests.clients import install
from tests.clients.gateway import free_port
from tests.clients.tools import execute, node_binary

PEERS = install.CLIENTS / "peers"


def installed() -> bool:
    """Install the peers where they are missing; whether all are there."""
    return install.main(["node", "peers"]) == 0 and (PEERS / "devpi").is_dir()


def devpi(folder: Path, simple: str, *, cpu: str = SERVER_CPU) -> Server:
    """devpi with one mirror index, `root/bench`, of the Simple API at `simple`; pages are at /root/bench/+simple/."""
    binaries, port = PEERS / "devpi" / "bin", free_port()
    data = folder / "data"
    folder.mkdir(parents=True, exist_ok=True)
    command = [str(binaries / "devpi-init"), "--serverdir", str(data), "--no-root-pypi"]
    made = execute(command, folder, {"PATH": "/usr/bin:/bin", "HOME": str(folder)}, timeout=120)
    if made.code != 0:
        raise LoadFailed(made.text[-1000:])
    command = [str(binaries / "devpi-server"), "--serverdir", str(data), "--port", str(port), "--host", "127.0.0.1"]
    server = start("devpi", command, folder, port, probe="/+api", cpu=cpu, timeout=120)
    index = {"type": "mirror", "mirror_url": simple, "mirror_no_project_list": True, "volatile": False}
    login = _send(f"{server.url}/+login", "POST", {"user": "root", "password": ""})
    authorization = {"X-Devpi-Auth": _basic("root", login["result"]["password"])}
    _send(f"{server.url}/root/bench", "PUT", index, authorization)
    return server


def proxpi(folder: Path, simple: str, *, cpu: str = SERVER_CPU) -> Server:
    """proxpi under gunicorn, one worker of 16 threads, as its image does; pages are at /index/."""
    port = free_port()
    gunicorn = str(PEERS / "proxpi" / "bin" / "gunicorn")
    environment = {
        "PROXPI_INDEX_URL": simple,
        "PROXPI_CACHE_DIR": str(folder / "cache"),
        "PROXPI_CACHE_SIZE": str(20 * 1024**3),
        "PROXPI_INDEX_TTL": "36000",
    }
    command = [gunicorn, "--workers", "1", "--threads", "16", "--bind", f"127.0.0.1:{port}", "proxpi.server:app"]
    return start("proxpi", command, folder, port, probe="/health", cpu=cpu, environment=environment)


def verdaccio(folder: Path, registry: str, *, cpu: str = SERVER_CPU) -> Server:
    """Verdaccio, anonymous, with one uplink."""
    port, node = free_port(), node_binary()
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "storage": str(folder / "storage"),
        "uplinks": {"origin": {"url": registry.rstrip("/"), "maxage": "600m", "timeout": "60s", "max_fails": 100}},
        "packages": {"**": {"access": "$all", "proxy": "origin"}},
        "log": {"type": "stdout", "format": "json", "level": "warn"},
        "web": {"enable": False},
    }
    (folder / "config.yaml").write_text(json.dumps(settings))
    script = PEERS / "node_modules" / "verdaccio" / "bin" / "verdaccio"
    command = [node or "node", str(script), "-c", str(folder / "config.yaml"), "-l", f"127.0.0.1:{port}"]
    return start("verdaccio", command, folder, port, probe="/-/ping", cpu=cpu)


def _basic(user: str, secret: str) -> str:

    return base64.b64encode(f"{user}:{secret}".encode()).decode()


def _send(url: str, method: str, body: Mapping[str, object], headers: Mapping[str, str] | None = None) -> Any:
    """One JSON request to a peer's own interface on loopback."""
    request = urllib.request.Request(url, json.dumps(body).encode(), method=method)
    for name, value in {"Content-Type": "application/json", "Accept": "application/json", **(headers or {})}.items():
        request.add_header(name, value)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as response:
        return json.load(response)
