"""Repositories and packages, as far as the actor may read them, and how to set a client up."""

from collections.abc import Mapping

from msgspec import Struct, field

from gateway.adapter import SnippetContext
from gateway.errors import GatewayError, PackageUnknown
from gateway.model import HOSTED_LAYER, File, Repository, RepositoryKey, Scope
from gateway.store.rows import HostedPackage, PackageSummary
from gateway.ui.call import UiCall
from gateway.web.answers import Answer


class RepositoryLine(Struct):
    """One line of the list of repositories."""

    repository: Repository
    packages: int = 0
    files: int = 0
    hosted_bytes: int = 0
    cached_bytes: int = 0


class Version(Struct):
    """The files of one version, in the order of publishing, and the tags that point at it."""

    name: str
    files: list[File] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)


async def repositories(call: UiCall) -> Answer:
    """Every repository that the actor may read, with what it stores."""
    cached = {id_: bytes_ for id_, bytes_, _files in await call.services.blob_rows.cache_sizes()}
    lines = []
    for repository in call.repositories():
        line = RepositoryLine(repository, cached_bytes=cached.get(repository.id, 0))
        for package in await _packages(call, repository):
            line.packages += 1
            line.files += package.files
            line.hosted_bytes += package.bytes
        lines.append(line)
    return call.page("repositories.html", lines=lines)


async def repository(call: UiCall) -> Answer:
    """One repository: its packages, its layers, and a client's set-up to paste."""
    found = call.repository()
    members = [_member(call, found, layer) for layer in found.layers if "/" in layer]
    return call.page(
        "repository.html",
        repository=found,
        packages=await _packages(call, found),
        members=[member for member in members if member is not None],
        layers=[layer for layer in found.layers if "/" not in layer],
        hosted=HOSTED_LAYER,
        snippets=_snippets(call, found),
        is_open=call.is_open(found),
        adapter=call.ui.adapters.get(found.key.type),
        base=_base(call, found),
    )


async def package(call: UiCall) -> Answer:
    """One package: its versions and files where it is hosted, its owner where it is not."""
    found = call.repository()
    name = _canonical(call, found)
    row = call.services.packages.get(found.id, name)
    if row is None or not call.permit(found).allows(Scope.READ, name, is_restricted=row.is_restricted):
        raise PackageUnknown(f"no package {name[:100]} in {found.key}")
    hosted = await call.services.packages.hosted(found.id, name)
    return call.page(
        "package.html",
        repository=found,
        row=row,
        versions=_versions(hosted) if hosted is not None else [],
        retired=sorted(hosted.tombstone_versions) if hosted is not None else [],
    )


async def _packages(call: UiCall, found: Repository) -> list[PackageSummary]:
    """The packages that the actor may read, sorted by name."""
    permit = call.permit(found)
    rows = await call.services.packages.summary(found.id)
    return [row for row in rows if permit.allows(Scope.READ, row.name, is_restricted=row.is_restricted)]


def _member(call: UiCall, found: Repository, layer: str) -> Repository | None:
    """The member repository that a layer names, if the actor may read it."""
    member = call.services.repository(RepositoryKey(found.key.type, *layer.split("/", 1)))
    return member if member is not None and call.may_read(member) else None


def _canonical(call: UiCall, found: Repository) -> str:
    try:
        return call.services.formats[found.key.type].normalize(call.path["package"])
    except GatewayError as error:
        raise PackageUnknown("no such package") from error


def _versions(hosted: HostedPackage) -> list[Version]:
    """Newest first, as they were published."""
    versions: dict[str, Version] = {}
    for file in hosted.files:
        versions.setdefault(file.version, Version(file.version)).files.append(file)
    for tag, version in sorted(hosted.tags.items()):
        if version in versions:
            versions[version].tags.append(tag)
    return list(reversed(versions.values()))


def _base(call: UiCall, found: Repository) -> str:
    return f"{call.visit.root}{found.key}/"


def _snippets(call: UiCall, found: Repository) -> Mapping[str, str]:
    """Client → configuration to paste."""
    adapter = call.ui.adapters.get(found.key.type)
    if adapter is None:
        return {}
    host = call.visit.root.split("/")[2]
    key = found.key
    context = SnippetContext(_base(call, found), host, key.owner, key.name, call.is_open(found))
    return {client: make(context) for client, make in adapter.snippets.items()}
