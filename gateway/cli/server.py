"""`entrepot serve`, `check-config` and `doctor`: the server, and whether it can do its work."""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp

from gateway.adapter import load_adapters
from gateway.app import serve as serve_forever
from gateway.cli.frame import CATALOGUE, command, group
from gateway.cli.output import remark, say, size
from gateway.compose import address_of
from gateway.config import Config
from gateway.errors import Blocked, GatewayError, Unknown
from gateway.logs import check_level, set_up
from gateway.store.database import Database
from gateway.upstream import authorities
from gateway.upstream.client import UpstreamClient
from gateway.upstream.registry import Upstream, build_upstreams
from gateway.wanted import configured
from gateway.web.forwarded import TrustedProxies

app = group()

_LEAST_SPACE = 1024**3  # bytes free on the data folder's file system
_WORST_CLOCK = 60.0  # seconds that two clocks may be apart
_PATIENCE = aiohttp.ClientTimeout(total=10)

Finding = tuple[str, str, str]  # ok, warning or error · what was looked at · what was found


@command(app, "serve")
def serve(config: Config) -> int:
    """Serve until SIGTERM or SIGINT."""
    set_up(config.log.level)
    return serve_forever(config, load_adapters())


@command(app, "check-config")
def check_config(config: Config) -> None:
    """Check the configuration and say what it amounts to; exit code 2 when something is wrong."""
    adapters = load_adapters()
    repositories = configured(config, {adapter.type: adapter.format for adapter in adapters})
    TrustedProxies(config.server.trusted_proxies)
    check_level(config.log.level)
    say(f"types: {', '.join(adapter.type for adapter in adapters)}")
    for name, upstream in sorted(build_upstreams(config).items()):
        say(f"upstream {name}: {upstream.type} {upstream.url}")
    for key, entry in repositories.items():
        say(f"repository {key}: {entry.visibility}, {' → '.join(entry.layers)}")
    remark("the configuration is good")


@command(app, "doctor")
async def doctor(config: Config) -> int:
    """Look for what would keep the server from its work; exit code 1 when something would."""
    worst = 0
    async for level, what, found in _examine(config):
        say(f"{level:7} {what}: {found}")
        worst = max(worst, int(level == "error"))
    return worst


async def _examine(config: Config) -> AsyncIterator[Finding]:
    for finding in _local(config):
        yield finding
    async with UpstreamClient() as client:
        for finding in await asyncio.gather(*(_upstream(client, upstream) for upstream in _used_upstreams(config))):
            yield finding
    yield await _server(f"{address_of(config)}/")


def _local(config: Config) -> Iterator[Finding]:
    yield _folder(config.data)
    free = shutil.disk_usage(_existing(config.data)).free
    yield ("ok" if free > _LEAST_SPACE else "error", "space", f"{size(free)} free")
    if free < config.cache.max_size:
        yield ("warning", "space", f"less than cache.max_size ({size(config.cache.max_size)})")
    yield _catalogue(config.data / CATALOGUE)
    yield _clock(_existing(config.data))
    if config.server.host not in {"127.0.0.1", "::1", "localhost"} and not config.server.public_url:
        yield ("warning", "public_url", "not set, so links are made from what each client calls us")
    elif config.server.public_url.startswith("http://"):
        yield ("warning", "public_url", "http: tokens cross the network in the clear")


def _folder(data: Path) -> Finding:
    folder = _existing(data)
    if not os.access(folder, os.W_OK | os.X_OK):
        return ("error", "data folder", f"{folder} cannot be written")
    mode = folder.stat().st_mode & 0o777
    if folder == data and mode & 0o007:
        return ("warning", "data folder", f"{data} can be read by everybody on this machine (mode {mode:o})")
    return ("ok", "data folder", str(data))


def _catalogue(path: Path) -> Finding:
    if not path.exists():
        return ("ok", "catalogue", "will be made at the first start")
    database = Database(path)
    try:
        database.migrate()
        database.point("SELECT 1 FROM setting LIMIT 1")
    except GatewayError as error:
        return ("error", "catalogue", error.message)
    finally:
        database.close()
    return ("ok", "catalogue", "has this version's schema")


def _clock(folder: Path) -> Finding:
    """Whether the file system's clock is ours: collection compares the two (a network file system has its own)."""
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            apart = abs(os.fstat(probe.fileno()).st_mtime - time.time())
    except OSError as error:
        return ("error", "clock", f"cannot be compared: {error.strerror}")
    if apart > _WORST_CLOCK:
        return ("error", "clock", f"the file system's clock is {apart:.0f} s apart from ours")
    return ("ok", "clock", "agrees with the file system's")


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _used_upstreams(config: Config) -> list[Upstream]:
    """Those that a repository of the configuration names; without any, those of the ready repositories."""
    known = build_upstreams(config)
    named = {layer for entries in config.repositories.values() for entry in entries.values() for layer in entry.layers}
    if not config.repositories:
        named = {adapter.upstream for adapter in load_adapters()}
    return [upstream for name, upstream in sorted(known.items()) if name in named or name in config.upstreams]


async def _upstream(client: UpstreamClient, upstream: Upstream) -> Finding:
    """Whether the upstream answers at all, asked as the server would, and how quickly."""
    what, started = f"upstream {upstream.name}", time.monotonic()
    try:
        async with client.stream(upstream, upstream.url):
            pass
    except (Unknown, Blocked) as error:
        return ("ok" if isinstance(error, Unknown) else "warning", what, f"answers: {error.message}")
    except GatewayError as error:
        return ("error", what, error.message)
    return ("ok", what, f"answers in {(time.monotonic() - started) * 1000:.0f} ms")


async def _server(address: str) -> Finding:
    """Whether we answer where clients are told to find us."""
    try:
        async with (
            aiohttp.ClientSession(timeout=_PATIENCE) as session,
            session.get(f"{address}-/health", allow_redirects=False, ssl=await authorities.load()) as response,
        ):
            return ("ok" if response.status == 200 else "warning", "server", f"{address} answers {response.status}")
    except (aiohttp.ClientError, TimeoutError, OSError):
        return ("warning", "server", f"nobody answers at {address} (not started?)")
