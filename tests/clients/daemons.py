"""Servers of other people that the container tests need: dockerd, containerd, and Debian's docker-registry as an upstream.

Each has a data folder, a socket or port and a process group of its own, needs no network and ends with the test. It
must not touch what a daemon of this machine may hold.
"""

import json
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import yaml

from tests.clients.gateway import fetch, free_port
from tests.clients.process import Server
from tests.clients.tools import LOOPBACK, World, execute, tool

_PATIENCE = 60.0


class Daemon(Server):
    """A server whose command does not change. `address`: how clients reach it."""

    def __init__(self, name: str, folder: Path, command: Sequence[str], address: str) -> None:
        super().__init__(name, folder)
        self.address = address
        self._command = list(command)

    def start(self) -> None:
        """Start it and wait until it answers."""
        environment = {**os.environ, "NO_PROXY": LOOPBACK, "no_proxy": LOOPBACK, "HOME": str(self.folder)}
        self._launch(self._command, self.folder, environment, _PATIENCE)

    def hang_up(self) -> None:
        """Tell it to read its configuration again."""
        os.kill(self.pid, signal.SIGHUP)


class Dockerd(Daemon):
    """Debian's dockerd with the vfs driver, and neither a bridge nor rules for one."""

    def __init__(self, folder: Path) -> None:
        """Everything it writes goes below `folder`, whose path must be short: it holds sockets."""
        self.config = folder / "daemon.json"
        self.config.write_text("{}")
        self._world = World(folder / "world")
        paths = {"data-root": "data", "exec-root": "exec", "pidfile": "pid", "config-file": "daemon.json"}
        options = [part for option, path in paths.items() for part in (f"--{option}", str(folder / path))]
        options += ["--storage-driver=vfs", "--iptables=false", "--ip6tables=false", "--bridge=none"]
        address = f"unix://{folder / 'docker.sock'}"
        super().__init__("dockerd", folder, [*tool("dockerd"), *options, "--host", address], address)

    def use_mirrors(self, *addresses: str) -> None:
        """Ask these before the public registry, from now on."""
        self.config.write_text(json.dumps({"registry-mirrors": list(addresses)}))
        self.hang_up()
        deadline = time.monotonic() + _PATIENCE
        while any(address not in self._info() for address in addresses):
            if time.monotonic() > deadline:
                raise RuntimeError(f"dockerd did not take its mirrors:\n{self.log[-2000:]}")
            time.sleep(0.05)

    def _info(self) -> str:
        host = {"DOCKER_HOST": self.address}
        return self._world.run("docker", "info", "--format", "{{.RegistryConfig.Mirrors}}", environment=host).text

    def _answers(self) -> bool:
        host = {"DOCKER_HOST": self.address}
        return self._world.run("docker", "version", environment=host, timeout=20).code == 0


class Containerd(Daemon):
    """A containerd without the plugin for Kubernetes; `ctr` is its client."""

    def __init__(self, folder: Path) -> None:
        """Everything it writes goes below `folder`, whose path must be short: it holds sockets."""
        address = str(folder / "containerd.sock")
        (folder / "config.toml").write_text(
            f'version = 2\nroot = "{folder}/root"\nstate = "{folder}/state"\n'
            'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
            f'[grpc]\naddress = "{address}"\n'
        )
        super().__init__("containerd", folder, [*tool("containerd"), "-c", str(folder / "config.toml")], address)

    def _answers(self) -> bool:
        command = [*tool("ctr"), "-a", self.address, "version"]
        return execute(command, self.folder, os.environ, timeout=20).code == 0


class DebianRegistry(Daemon):
    """Debian's docker-registry: a real upstream, or the peer of a benchmark. `proxy_of`: what it is a mirror of."""

    def __init__(self, folder: Path, *, proxy_of: str = "", prefix: Sequence[str] = ()) -> None:
        """`prefix`: what stands before the command, such as `taskset -c 0`. Stored and set up as Debian's own is."""
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        settings: dict[str, object] = {
            "version": 0.1,
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(folder / "data")},
                "cache": {"blobdescriptor": "inmemory"},
                "delete": {"enabled": True},
            },
            "http": {"addr": f"127.0.0.1:{self.port}"},
        }
        if proxy_of:
            settings["proxy"] = {"remoteurl": proxy_of}
        (folder / "config.yml").write_text(yaml.safe_dump(settings))
        command = [*prefix, *tool("docker-registry"), "serve", str(folder / "config.yml")]
        super().__init__("docker-registry", folder, command, f"127.0.0.1:{self.port}")

    @property
    def url(self) -> str:
        return f"http://{self.address}/"

    def _answers(self) -> bool:
        return fetch(f"{self.url}v2/")[0] < 500
