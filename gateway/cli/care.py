"""`entrepot gc`, `retain`, `verify` and `cache`: the care of the two blob stores."""

import time
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from gateway.adapter import Adapter, load_adapters
from gateway.cli import lookups
from gateway.cli.frame import Data, command, group
from gateway.cli.output import moment, progress, remark, say, size, table
from gateway.compose import open_services, prepare
from gateway.config import Config
from gateway.errors import Invalid
from gateway.format import Abandoning, GraphFormat
from gateway.housekeeping import CACHE_GRACE, HOSTED_GRACE, Housekeeping, Removal
from gateway.prefetch import prefetch
from gateway.retention import plan, read_rules
from gateway.store.blob_rows import CACHE
from gateway.store.file_care import Abandoned
from gateway.store.resumable import Resumables
from gateway.store.spool import Spools

app = group()
cache = group("The cache of upstreams' documents and files.")

_DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")]
_HOUR = 3600.0


@command(app, "gc")
async def collect(
    data: Data,
    dry_run: _DryRun = False,
    grace: Annotated[
        float | None,
        typer.Option(metavar="HOURS", help="Spare what was kept within these hours (hosted 24, cache 1)."),
    ] = None,
) -> None:
    """Remove files that nobody will finish, and blobs that nothing refers to; safe beside a running server."""
    if grace is not None and grace < 1:
        raise Invalid("--grace: expected an hour or more, since a running push links its bytes only at its end")
    done = await _housekeeping(data).collect(
        hosted_grace=HOSTED_GRACE if grace is None else grace * _HOUR,
        cache_grace=CACHE_GRACE if grace is None else grace * _HOUR,
        abandoned=_abandoned(data),
        dry_run=dry_run,
    )
    keys = {repository.id: repository.key for repository in data.repositories.all()}
    freed = sum(removal.bytes for removal in done.removals)
    count = sum(len(removal.blobs) for removal in done.removals)
    if not dry_run:  # first, whoever reads what is said
        for left in done.abandoned:
            await data.note("expire", str(keys.get(left.repository_id)), left.package, files=left.files)
        await data.note("gc", blobs=count, bytes=freed)
    for left in done.abandoned:
        for name in left.files:
            say(f"{keys.get(left.repository_id)}/{left.package}\t{name}")
    for removal in done.removals:
        _say_removal(removal)
    would = "would remove" if dry_run else "removed"
    remark(f"{would} {count} blobs ({size(freed)}) and {done.leftovers} temporary files")


@command(app, "retain")
async def retain(data: Data, dry_run: _DryRun = False) -> None:
    """Let go the tags and untagged images that the repositories' `retention` rules no longer keep."""
    formats = {adapter.type: adapter.format for adapter in load_adapters()}
    tags = nodes = 0
    for repository in data.repositories.all():
        rules, format_ = read_rules(repository.settings), formats.get(repository.key.type)
        if not rules or not isinstance(format_, GraphFormat):
            continue
        letting = partial(plan, rules=rules, attached=format_.attached_to, now=time.time())
        for one in await data.blob_rows.graphs.retain(repository.id, letting, dry_run=dry_run):
            if not dry_run:
                await data.note("retain", str(repository.key), one.package, tags=one.tags, digests=one.nodes)
            for name in (*one.tags, *one.nodes):
                say(f"{repository.key}/{one.package}\t{name}")
            tags, nodes = tags + len(one.tags), nodes + len(one.nodes)
    remark(f"{'would let go' if dry_run else 'let go'} {tags} tags and {nodes} documents; `gc` frees their bytes")


@command(app, "verify")
async def verify(
    data: Data,
    repair: Annotated[
        bool, typer.Option("--repair", help="Forget what is damaged in the cache, so that it is fetched again.")
    ] = False,
) -> int:
    """Hash every blob again. Exit code 1 when something is corrupt or missing."""
    with progress("verify") as tell:
        found = await _housekeeping(data).verify(tell, repair=repair)
    for verdict, names in (("corrupt", found.corrupt), ("missing", found.missing), ("unlinked", found.unlinked)):
        for name in names:
            suffix = " repaired" if name in found.repaired else ""
            say(f"{verdict} {name}{suffix}")
    remark(
        f"{found.blobs} blobs ({size(found.bytes)}): {len(found.corrupt)} corrupt, {len(found.missing)} missing,"
        f" {len(found.unlinked)} unlinked, {len(found.repaired)} repaired"
    )
    return 0 if found.is_clean else 1


@command(cache, "stats")
async def stats(data: Data) -> None:
    """What the cache holds, by upstream and by repository."""
    total = await data.blob_rows.total(CACHE)
    remark(f"{size(total)} of {size(data.config.cache.max_size)}")
    rows: list[tuple[object, ...]] = [
        ("upstream", row.upstream, row.documents, size(row.bytes), moment(row.oldest))
        for row in await data.documents.summary()
    ]
    keys = {repository.id: repository.key for repository in data.repositories.all()}
    rows += [
        ("repository", keys.get(id_, id_), files, size(bytes_), "")
        for id_, bytes_, files in await data.blob_rows.cache_sizes()
    ]
    table(("KIND", "NAME", "ENTRIES", "SIZE", "OLDEST"), rows)


@command(cache, "purge")
async def purge(
    data: Data,
    upstream: Annotated[str | None, typer.Option(metavar="NAME", help="Documents of this upstream.")] = None,
    repository: Annotated[
        str | None, typer.Option(metavar="TYPE/OWNER/REPOSITORY", help="Cached files of this repository.")
    ] = None,
    package: Annotated[str | None, typer.Option(metavar="NAME", help="With --repository: only this package.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All documents and files.")] = False,
) -> None:
    """Forget cached documents or files; they are fetched again when asked for. The space is freed by `gc`."""
    if not (upstream or repository or everything):
        raise Invalid("name an --upstream or a --repository, or say --all")
    if package and not repository:
        raise Invalid("--package needs --repository")
    documents = files = 0
    if upstream or everything:
        documents = await data.documents.purge(upstream if not everything else None)
    adapters = load_adapters() if repository else ()
    for known in data.repositories.all():
        if everything or (repository and known == lookups.repository(data, adapters, repository)):
            name = _canonical(adapters, known.key.type, package)
            files += await data.blob_rows.purge_cached(known.id, name)
    await data.note("cache.purge", repository or "", package or "", upstream=upstream, documents=documents, files=files)
    remark(f"forgot {documents} documents and {files} files")


@command(cache, "prefetch")
async def fetch(
    config: Config,
    repository: Annotated[str, typer.Argument(metavar="TYPE/OWNER/REPOSITORY")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A project's or lock file, such as pom.xml.")],
) -> int:
    """Fetch what a project wants into the cache, through a repository; exit code 1 where something cannot be had."""
    adapters = load_adapters()
    key = lookups.repository_key(adapters, repository)
    adapter = next(adapter for adapter in adapters if adapter.type == key.type)
    body = file.read_bytes()
    files = bytes_ = missing = 0
    await prepare(config, adapters)
    async with open_services(config, adapters) as services:
        async for fetched in prefetch(services, adapter.prefetch, key, file.name, body):
            if fetched.why:
                missing += 1
                say(f"missing {fetched.name}: {fetched.why}")
            else:
                files, bytes_ = files + 1, bytes_ + fetched.size
                if files % 50 == 0:
                    remark(f"{files} files ({size(bytes_)})")
    remark(f"{files} files ({size(bytes_)}), {missing} missing")
    return 1 if missing else 0


@command(cache, "evict")
async def evict(data: Data, dry_run: _DryRun = False) -> None:
    """Bring the cache below its max_size now, least recently used first; the server does it by itself."""
    removal = await _housekeeping(data).evict(data.config.cache.max_size, dry_run=dry_run)
    _say_removal(removal)
    remark(f"{'would remove' if dry_run else 'removed'} {len(removal.blobs)} blobs ({size(removal.bytes)})")


def _canonical(adapters: tuple[Adapter, ...], type_: str, package: str | None) -> str | None:
    if package is None:
        return None
    return next(adapter.format.normalize(package) for adapter in adapters if adapter.type == type_)


def _abandoned(data: Data) -> dict[int, Abandoned]:
    """By repository, what says which of its files are abandoned by now."""
    formats = {adapter.type: adapter.format for adapter in load_adapters()}
    found: dict[int, Abandoned] = {}
    for repository in data.repositories.all():
        format_ = formats.get(repository.key.type)
        if isinstance(format_, Abandoning):
            found[repository.id] = partial(format_.abandoned, now=time.time())
    return found


def _housekeeping(data: Data) -> Housekeeping:
    spools = Spools(data.cache.root, data.cache)
    resumables = Resumables(data.hosted)
    return Housekeeping(data.blob_rows, data.hosted, data.cache, (spools.sweep, resumables.sweep))


def _say_removal(removal: Removal) -> None:
    for hex_, bytes_ in removal.blobs:
        say(f"{removal.store}:{hex_}\t{bytes_}")
