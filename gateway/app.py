"""The server: worker processes on one port, each with its services, one handler and an orderly end."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, cast

import structlog
import uvloop
from aiohttp import web

from gateway.adapter import Adapter
from gateway.compose import address_of, open_services, prepare, tend
from gateway.config import Config
from gateway.own import OwnAddresses
from gateway.services import Services
from gateway.ui.places import repository_location
from gateway.web.fast import FastServer
from gateway.web.metrics import clear
from gateway.web.mount import Mount

_log = structlog.stdlib.get_logger("server")
_LONGEST_LINE = 128 * 1024  # so that an overlong path is refused in the ecosystem's words, not the parser's
_RESTART_DELAY = 1.0


def serve(config: Config, adapters: Sequence[Adapter]) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code. Prints the address once it can be used."""
    with _reserve(config) as reserved:
        config = replace(config, server=replace(config.server, port=reserved.getsockname()[1]))
        asyncio.run(prepare(config, adapters))
        clear(config.data / "metrics")
        if config.server.workers == 1:
            uvloop.run(_work(config, adapters, is_first=True))
            return 0
        return _Parent(config, adapters).run()


@asynccontextmanager
async def running(config: Config, adapters: Sequence[Adapter]) -> AsyncIterator[Services]:
    """A worker that serves until the context ends; `prepare` must have run."""
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(open_services(config, adapters))
        own = await stack.enter_async_context(OwnAddresses.open(services, adapters))
        mount = Mount(services, adapters, own.authenticator, own.observer, own.handlers(), repository_location)
        services.tasks.own(tend(services, own.authenticator.flush), "notes")
        services.tasks.own(own.housekeeping(), "housekeeping")
        server = _server(
            mount,
            is_fast=config.server.fast_path,
            access_log=None,
            keepalive_timeout=310,  # clients keep pooled connections for up to 300 s, and do not repeat a PUT
            lingering_time=30,
            max_line_size=_LONGEST_LINE,
            max_field_size=32 * 1024,
            read_bufsize=64 * 1024,
            auto_decompress=False,
        )
        runner = web.ServerRunner(server, shutdown_timeout=config.server.shutdown_seconds)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        for port in (config.server.port, *config.server.ports):
            await web.SockSite(runner, _listen(config, port), backlog=1024).start()
        own.is_listening = True
        yield services
        own.is_listening = False


def _server(mount: Mount, *, is_fast: bool, **options: Any) -> web.Server:
    """An Answer is all that aiohttp's protocol needs of a response, whatever its annotations say."""
    return FastServer(mount, mount.shortcut.ready, **options) if is_fast else web.Server(cast("Any", mount), **options)


async def _work(config: Config, adapters: Sequence[Adapter], *, is_first: bool) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with running(config, adapters):
        if is_first:
            announce(config)
        await stop.wait()
        _log.info("stopping", seconds=config.server.shutdown_seconds)


def announce(config: Config) -> None:
    """Say where we can be reached."""
    print(f"Entrepot serves {address_of(config)}/", file=sys.stderr, flush=True)  # noqa: T201 for people
    claim = config.data / "claim"
    if claim.exists():
        print(f"Nobody has claimed it yet: the one-time link is in {claim}", file=sys.stderr, flush=True)  # noqa: T201


def _reserve(config: Config) -> socket.socket:
    """A bound socket that never listens: it keeps the port ours, and tells it where the configuration says 0."""
    return _bind(config, config.server.port)


def _listen(config: Config, port: int) -> socket.socket:
    return _bind(config, port)


def _bind(config: Config, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.server.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind((config.server.host, port))
    bound.setblocking(False)
    return bound


class _Parent:
    """Starts the workers, starts a fallen one again, and passes the signal to stop on to all of them."""

    def __init__(self, config: Config, adapters: Sequence[Adapter]) -> None:
        self._config = config
        self._adapters = adapters
        self._workers: dict[int, int] = {}
        self._is_stopping = False

    def run(self) -> int:
        """Until all workers have ended."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        for index in range(self._config.server.workers):
            self._start(index)
        announce(self._config)
        while self._workers:
            with suppress(InterruptedError):
                pid, status = os.wait()
                self._ended(pid, status)
        return 0

    def _start(self, index: int) -> None:
        pid = os.fork()
        if pid:
            self._workers[pid] = index
            return
        code = 1
        try:
            _pin(index)
            uvloop.run(_work(self._config, self._adapters, is_first=False))
            code = 0
        finally:
            os._exit(code)

    def _ended(self, pid: int, status: int) -> None:
        index = self._workers.pop(pid, None)
        if index is None or self._is_stopping:
            return
        _log.error("a worker ended", worker=index, code=os.waitstatus_to_exitcode(status))
        time.sleep(_RESTART_DELAY)
        if not self._is_stopping:
            self._start(index)

    def _stop(self, number: int, _: object) -> None:
        self._is_stopping = True
        for pid in self._workers:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM if number == signal.SIGTERM else signal.SIGINT)


def _pin(index: int) -> None:
    """One worker a core: its threads hand the interpreter over several times faster when they share one."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[index % len(cores)]})
