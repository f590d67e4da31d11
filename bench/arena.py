"""The servers of one run, started when a case first needs them and stopped together at the end."""

import json
import shutil
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urljoin

from bench import origin, peers, servers
from bench.load import LoadFailed, Target
from bench.measure import CLIENT_CPU, SERVER_CPU
from tests.clients.gateway import READ, Gateway, fetch, free_port

PYPI_ACCEPT = "application/vnd.pypi.simple.v1+json"
NPM_ACCEPT = "application/vnd.npm.install-v1+json"
_WARM = 1.0  # seconds of CPU for writing a GB into memory that was used before; 0.5 to 0.8 were measured, fresh 4.5
_WARMINGS = 5
_Made = TypeVar("_Made")


class Arena:
    """What the cases share: a folder, the number of rounds, and running servers."""

    def __init__(self, folder: Path, rounds: int, seconds: float, say: Callable[[str], None]) -> None:
        self.folder = folder
        self.rounds = rounds
        self.seconds = seconds
        self.say = say
        self.data = origin.Origin(folder / "origin", free_port())
        self.public = folder / "static"
        self._running = ExitStack()
        self._made: dict[str, Any] = {}
        self._has_peers: bool | None = None

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        self.public.mkdir()
        self.data.build()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def has_peers(self) -> bool:
        """Whether devpi, proxpi and Verdaccio are there to compare with."""
        if self._has_peers is None:
            self._has_peers = peers.installed()
        return self._has_peers

    def origin(self) -> servers.Server:
        """The synthetic upstream, on the client's CPU."""
        return self._once("origin", lambda: servers.origin(self.folder / "origin-nginx", self.data, cpu=CLIENT_CPU))

    def static(self) -> servers.Server:
        """The reference nginx with one worker; files written to `public` are served from its root."""
        return self._once("static", lambda: servers.static(self.folder / "static-nginx", self.public))

    def gateway(
        self, name: str = "product", *, cpu: str = SERVER_CPU, workers: int = 1, settings: dict[str, Any] | None = None
    ) -> Gateway:
        """The product in front of the synthetic upstream, with production defaults but for these settings."""

        def make() -> Gateway:
            upstream = self.origin().url
            gateway = Gateway(
                self.folder / name,
                repositories("origin-pypi", "origin-npm"),
                upstreams={
                    "origin-pypi": {"type": "pypi", "url": f"{upstream}/pypi/simple/"},
                    "origin-npm": {"type": "npm", "url": f"{upstream}/npm/"},
                },
                workers=workers,
                settings=settings,
                prefix=("taskset", "-c", cpu),
            )
            gateway.start()
            return gateway

        return self._once(name, make)

    def devpi(self) -> servers.Server:
        simple = f"{self.origin().url}/pypi/simple/"
        return self._once("devpi", lambda: peers.devpi(self.folder / "devpi", simple))

    def proxpi(self) -> servers.Server:
        simple = f"{self.origin().url}/pypi/simple/"
        return self._once("proxpi", lambda: peers.proxpi(self.folder / "proxpi", simple))

    def verdaccio(self) -> servers.Server:
        registry = f"{self.origin().url}/npm/"
        return self._once("verdaccio", lambda: peers.verdaccio(self.folder / "verdaccio", registry))

    def token(self, gateway: Gateway) -> str:
        """A read-only token of the owner."""
        return self._once(f"token {gateway.port}", lambda: gateway.token("bench", READ), closes=False)

    def product(self, path: str, accept: str, *, name: str = "product", **settings: Any) -> Target:
        """A request of the product below its root, with the token."""
        gateway = self.gateway(name, **settings)
        headers = {"Authorization": f"Bearer {self.token(gateway)}", "Accept": accept}
        return Target(name, gateway.pid, gateway.url + path, headers)

    def reference(self, name: str, body: bytes) -> Target:
        """The same bytes from the reference nginx."""
        (self.public / name).write_bytes(body)
        server = self.static()
        return Target("nginx", server.pid, f"{server.url}/{name}", {})

    def two_workers(self, name: str, body: bytes) -> Target:
        """The same bytes from a reference nginx with two workers on both CPUs."""
        (self.public / name).write_bytes(body)
        folder = self.folder / "static-nginx-2"
        server = self._once("static 2", lambda: servers.static(folder, self.public, cpu="0,1", workers=2))
        return Target("nginx", server.pid, f"{server.url}/{name}", {})

    def warm_memory(self, size: int) -> None:
        """Write and remove so many bytes, until that is cheap: memory that a virtual machine gives out for the first
        time costs it more than the bytes cost any server, and who comes second would be spared.
        """
        scratch, zeros = self.folder / "scratch", bytes(1 << 20)
        for _ in range(_WARMINGS):
            begun = time.process_time()
            with scratch.open("wb") as file:
                for _ in range(size >> 20):
                    file.write(zeros)
            spent = time.process_time() - begun
            scratch.unlink()
            if spent < _WARM * size / 1e9:
                break

    def drop_cached(self, size: int) -> None:
        """Remove the product's cached files of at least so many bytes, as an eviction would."""
        for file in (self.gateway().data / "cache").rglob("*"):
            if file.is_file() and file.stat().st_size >= size:
                file.unlink()

    def upstream_requests(self, path: str) -> int:
        """How often the synthetic upstream was asked for this path."""
        log = self.folder / "origin-nginx" / "requests.log"
        return log.read_text().splitlines().count(f"GET {path}")

    def _once(self, name: str, make: Callable[[], _Made], *, closes: bool = True) -> _Made:
        if name not in self._made:
            made = make()
            self._made[name] = made
            if closes:
                self._running.callback(made.stop)  # type: ignore[attr-defined]
        found: _Made = self._made[name]
        return found


def repositories(pypi: str, npm: str) -> dict[str, dict[str, dict[str, Any]]]:
    """`bench/py` and `bench/js`, private, with these upstreams."""
    return {
        "pypi": {"bench/py": {"layers": ["hosted", pypi]}},
        "npm": {"bench/js": {"layers": ["hosted", npm]}},
    }


def get(target: Target) -> bytes:
    """The body of one request; raises LoadFailed unless it is a 200."""
    status, body = fetch(target.url, headers=target.headers, timeout=120)
    if status != 200:
        raise LoadFailed(f"{target.server}: {target.url}: {status} {body[:300]!r}")
    return body


def headers(target: Target) -> dict[str, str]:
    """The headers of the response, in lower case."""
    request = urllib.request.Request(target.url, headers=dict(target.headers))
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as response:
        return {name.lower(): value for name, value in response.headers.items()}


def file_of(page: Target, filename: str) -> Target:
    """The request for a file that this Simple API page names."""
    files = json.loads(get(page))["files"]
    url = next(urljoin(page.url, str(file["url"])) for file in files if file["filename"] == filename)
    return Target(page.server, page.pid, url.partition("#")[0], page.headers)
