"""One worker's services, built once and closed in reverse order."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from itertools import count

import structlog

from gateway.adapter import Adapter
from gateway.auth.claim import ensure_claim
from gateway.auth.passes import prepare_seals
from gateway.config import Config, RepositoryConfig
from gateway.denials import Denials
from gateway.documents import Documents
from gateway.errors import GatewayError
from gateway.format import Format
from gateway.model import HOSTED_LAYER, RepositoryKey
from gateway.services import Memos, Services
from gateway.store.audit import Audit
from gateway.store.blob_rows import BlobRows
from gateway.store.blobs import FileBlobs
from gateway.store.database import Database
from gateway.store.documents import DocumentRows
from gateway.store.graph import GraphRows
from gateway.store.identities import Identities
from gateway.store.ledgers import Ledgers
from gateway.store.packages import Packages
from gateway.store.repositories import Repositories
from gateway.store.resumable import Resumables
from gateway.store.settings import Settings
from gateway.store.spool import Spools
from gateway.store.traffic import Traffic
from gateway.tasks import Flights, Tasks
from gateway.upstream.client import UpstreamClient
from gateway.upstream.registry import build_upstreams
from gateway.wanted import check_at, configured

READY_OWNER, READY_NAME = "local", "main"
TRAFFIC_DAYS = 90  # of sums per minute; the audit table is never shortened by itself
_LOOPBACK = ("127.0.0.0/8", "::1/128")
Flush = Callable[[], Awaitable[None]]
_log = structlog.stdlib.get_logger("compose")


@asynccontextmanager
async def open_services(config: Config, adapters: Sequence[Adapter]) -> AsyncIterator[Services]:
    """The services of one process over a data folder that `prepare` has made ready."""
    data = config.data
    database = Database(data / "catalogue.sqlite")
    hosted, cache = FileBlobs(data / "hosted"), FileBlobs(data / "cache")
    leases = data / "cache" / "leases"
    leases.mkdir(parents=True, exist_ok=True)
    rows, audit = DocumentRows(database), Audit(database)
    try:
        async with (
            Tasks() as tasks,
            UpstreamClient(workers=config.server.workers) as client,
            Spools(data / "cache", cache, max_size=config.cache.max_file_size) as spools,
        ):
            yield Services(
                config=config,
                database=database,
                repositories=Repositories(database),
                packages=Packages(database),
                blob_rows=BlobRows(database),
                graph=GraphRows(database),
                resumables=Resumables(hosted),
                identities=Identities(database),
                audit=audit,
                hosted=hosted,
                cache=cache,
                spools=spools,
                ledgers=Ledgers(data / "cache" / "ledgers"),
                client=client,
                documents=Documents(database, rows, cache, client, tasks, leases, config.cache.max_document_size),
                document_rows=rows,
                upstreams=build_upstreams(config),
                formats=formats_of(adapters),
                tasks=tasks,
                memos=Memos.of(config.cache.memory),
                flights=Flights(tasks),
                denials=Denials(audit),
            )
    finally:
        database.close()


async def prepare(config: Config, adapters: Sequence[Adapter]) -> None:
    """Make the data folder ready: schema, repositories of the configuration, or the ready ones where it has none."""
    config.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    (config.data / "hosted").mkdir(exist_ok=True)
    (config.data / "cache").mkdir(exist_ok=True)
    database = Database(config.data / "catalogue.sqlite")
    try:
        database.migrate()
        repositories = Repositories(database)
        wanted = configured(config, formats_of(adapters))
        for key, entry in wanted.items():
            await repositories.upsert(key, entry, "config")
        if not wanted:
            await _make_ready(config, adapters, repositories, Identities(database))
        _warn_of_leftovers(repositories, set(wanted))
        await prepare_seals(Settings(database))
        await ensure_claim(config.data, Identities(database), address_of(config))
    finally:
        database.close()


def check_repository(
    config: Config, adapters: Sequence[Adapter], key: RepositoryKey, entry: RepositoryConfig, known: Collection[str]
) -> None:
    """Raise ConfigInvalid unless a repository may be configured so; `known`: `owner/name` of the others of its type."""
    check_at(str(key), key.type, entry, formats_of(adapters)[key.type], build_upstreams(config), known.__contains__)


def address_of(config: Config) -> str:
    """Our external address as configured, without a slash at the end."""
    host = f"[{config.server.host}]" if ":" in config.server.host else config.server.host
    return config.server.public_url.rstrip("/") or f"http://{host}:{config.server.port}"


def formats_of(adapters: Sequence[Adapter]) -> dict[str, Format]:
    """The pure half of each adapter, by type."""
    return {adapter.type: adapter.format for adapter in adapters}


async def _make_ready(
    config: Config, adapters: Sequence[Adapter], repositories: Repositories, identities: Identities
) -> None:
    """`local/main` for each type, with that ecosystem's public registry behind it, readable from loopback."""
    upstreams = build_upstreams(config)
    known = repositories.sources()
    fresh = [adapter for adapter in adapters if RepositoryKey(adapter.type, READY_OWNER, READY_NAME) not in known]
    for adapter in fresh:
        layers = (HOSTED_LAYER, adapter.upstream) if adapter.upstream in upstreams else (HOSTED_LAYER,)
        key = RepositoryKey(adapter.type, READY_OWNER, READY_NAME)
        await repositories.upsert(key, RepositoryConfig(layers=layers), "ready")
    if fresh and not known:
        if identities.organisation(READY_OWNER) is None:
            await identities.create_organisation(READY_OWNER)
        for cidr in _LOOPBACK:
            await identities.create_grant(
                subject_kind="anonymous",
                subject_id=None,
                role="read",
                repository=f"*/{READY_OWNER}/{READY_NAME}",
                cidr=cidr,
                created_by="first start",
            )


def _warn_of_leftovers(repositories: Repositories, wanted: set[RepositoryKey]) -> None:
    for key, source in repositories.sources().items():
        if source == "config" and key not in wanted:
            _log.warning("a repository is no longer in the configuration; it is kept", repository=str(key))


async def tend(services: Services, flush_tokens: Flush) -> None:
    """Write down every second what requests left to be noted, and forget every hour what has had its time."""
    for second in count():
        try:
            await asyncio.sleep(1.0)
            await flush(services, flush_tokens)
            if second % 3600 == 0:
                await services.identities.expire_sessions()
                await Traffic(services.database).expire(int(time.time()) // 60 - TRAFFIC_DAYS * 1440)
        except asyncio.CancelledError:
            await flush(services, flush_tokens)
            raise
        except GatewayError as error:
            _log.warning("could not note what was used", error=error.message)


async def flush(services: Services, flush_tokens: Flush) -> None:
    """One round of notes: used blobs, refusals, used tokens."""
    touched, services.touched = services.touched, {}
    if touched:
        now = time.time()
        await services.blob_rows.touch("cache", dict.fromkeys(touched, now))
    pulls, services.pulls = services.pulls, {}
    await services.graph.pulled(pulls)
    await services.denials.flush()
    await flush_tokens()
