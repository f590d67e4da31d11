"""Starts the real product as a subprocess on loopback, with a data folder of its own, and stops it by its process id.

It speaks to the product only as an operator would: the configuration file, `python -m gateway serve`, the readiness
address and `python -m gateway token create`. It must not import the product.
"""

import json
import os
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from pyotp import TOTP

from tests.clients.install import ROOT
from tests.clients.process import Server
from tests.clients.tools import LOOPBACK, Ran, execute

READ = ("read:packages",)
WRITE = ("read:packages", "write:packages")
DELETE = ("read:packages", "write:packages", "delete:packages")


def free_port() -> int:
    """A loopback TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Gateway(Server):
    """One gateway: started with `with`, or by `start` and `stop`; `restart` keeps the data folder and the port."""

    def __init__(
        self,
        folder: Path,
        repositories: Mapping[str, Mapping[str, Any]],
        *,
        upstreams: Mapping[str, Any] | None = None,
        workers: int = 1,
        environment: Mapping[str, str] | None = None,
        settings: Mapping[str, Any] | None = None,
        prefix: Sequence[str] = (),
        has_public_url: bool = False,
    ) -> None:
        """`repositories`: type → `owner/name` → the repository's keys. `settings`: further top-level sections.

        `prefix`: what stands before the command, such as `taskset -c 0`. has_public_url: whether it is told its address.
        """
        super().__init__("gateway", folder)
        self.data = folder / "data"
        self.port = free_port()
        self.workers = workers
        self.repositories = repositories
        self.upstreams = dict(upstreams or {})
        self.settings = dict(settings or {})
        self.environment = dict(environment or {})
        self.prefix = list(prefix)
        self.has_public_url = has_public_url
        self.ready_after = 0.0
        self.users: set[str] = set()
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        """The address of the host, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.folder / "config.yaml"

    def base(self, repository: str, token: str = "") -> str:
        """The address of `type/owner/name`, ending with a slash; with the token as Basic credentials when given."""
        user = f"__token__:{token}@" if token else ""
        return f"http://{user}127.0.0.1:{self.port}/{repository}/"

    def start(self, timeout: float = 30) -> None:
        """Write the configuration, start, and wait until `/-/ready` says 200."""
        self._write_config()
        command = [*self.prefix, sys.executable, "-m", "gateway", "serve", "--config", str(self.config)]
        self.ready_after = self._launch(command, ROOT, self._environment(), timeout)

    def restart(self, upstreams: Mapping[str, Any] | None = None) -> None:
        """Stop and start with the same data; `upstreams` replaces that section of the configuration."""
        self.stop()
        if upstreams is not None:
            self.upstreams = dict(upstreams)
        self.start()

    @contextmanager
    def cut_off(self) -> Iterator[None]:
        """Run with the same data while every address but loopback lies behind a proxy that refuses connections."""
        dead = f"http://127.0.0.1:{free_port()}"
        before = self.environment
        self.stop()
        self.environment = {**before, **dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"), dead)}
        self.start()
        try:
            yield
        finally:
            self.stop()
            self.environment = before
            self.start()

    def cli(self, *arguments: str, timeout: float = 60) -> Ran:
        """Run the product's own command line."""
        return execute([sys.executable, "-m", "gateway", *arguments], ROOT, self._environment(), timeout=timeout)

    def token(self, user: str, scopes: Sequence[str] = READ, *arguments: str) -> str:
        """A new token of this user, who is created when need be; `arguments` are further ones for the command line."""
        if user not in self.users:
            self.cli("user", "create", user, "--data", str(self.data)).succeeded()
            self.users.add(user)
        chosen = [part for scope in scopes for part in ("--scope", scope)]
        made = self.cli("token", "create", "--user", user, *chosen, "--data", str(self.data), *arguments).succeeded()
        return made.stdout.strip()

    def one_time_codes(self, user: str, role: str, repository: str) -> tuple[str, Callable[[int], str]]:
        """A new token of a user who gets this role and one-time codes, and what tells the code of now or of later.

        A step is half a minute; of two codes in order that of now comes first, and that of the next step (1) is good too.
        """
        token = self.token(user, DELETE)
        self.cli("grant", "add", user, role, repository, "--data", str(self.data)).succeeded()
        made = self.cli("user", "otp", "enable", user, "--data", str(self.data)).succeeded()
        authenticator = TOTP(made.stdout.split()[0])
        return token, lambda steps: authenticator.at(int(time.time()), counter_offset=steps)

    def get(self, path: str, *, token: str = "", headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        """Status and body of a GET of a path on this gateway."""
        return fetch(self.url + path, token=token, headers=headers)

    def _write_config(self) -> None:
        tree = {
            "data": str(self.data),
            **self.settings,
            "server": {
                "host": "127.0.0.1",
                "port": self.port,
                "workers": self.workers,
                "public_url": self.url if self.has_public_url else "",
                **self.settings.get("server", {}),
            },
            "repositories": self.repositories,
        }
        if self.upstreams:
            tree["upstreams"] = self.upstreams
        self.config.write_text(yaml.safe_dump(json.loads(json.dumps(tree)), sort_keys=False))

    def _environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}  # as an operator's would be
        return {**kept, "NO_PROXY": LOOPBACK, "no_proxy": LOOPBACK, **self.environment}

    def _answers(self) -> bool:
        return self.get("/-/ready")[0] == 200


def fetch(
    url: str, *, token: str = "", headers: Mapping[str, str] | None = None, timeout: float = 30
) -> tuple[int, bytes]:
    """Status and body of a GET on loopback, past any proxy; raises OSError when nobody answers."""
    if urlsplit(url).hostname != "127.0.0.1":
        raise ValueError(f"not on loopback: {url}")
    request = urllib.request.Request(url, headers=dict(headers or {}))
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
