"""What a build of a pom.xml would ask for, fetched beforehand: its dependencies, theirs, and every POM on the way.

Versions are chosen as Maven does where it matters (the project's own management first, then inherited and imported
one), without mediation between them: a few versions too many are cached, none too few. Plugins are left to the build.
"""

import asyncio
import os
from collections.abc import AsyncIterator

from msgspec.structs import replace

from adapters.maven import names, wire
from adapters.maven.markup import MAX_POM
from adapters.maven.names import Kind, Spot
from adapters.maven.project import Dependency, Project, managed_version, parse_project
from gateway.addressed import Addressed
from gateway.errors import GatewayError, Invalid
from gateway.opened import OpenFile
from gateway.prefetch import Fetched
from gateway.shelf import Shelf

_AT_ONCE = 8
_MOST = 20_000
_DEEPEST = 12  # parents and imports above one another
_CARRIED = frozenset({"", "compile", "runtime"})
Management = dict[tuple[str, str, str, str], Dependency]


async def from_pom(body: bytes, reader: Addressed) -> AsyncIterator[Fetched]:
    """Fetch what this pom.xml wants, level by level; raises Invalid for what is no POM."""
    build = _Build(reader)
    project = parse_project(body)
    await build.complete(project, 0)
    managed = await build.management(project, 0)
    level = build.wanted(project, managed, {}, is_root=True)
    seen: set[Dependency] = set()
    while level and len(seen) < _MOST:
        fresh = [one for one in dict.fromkeys(level) if one not in seen]
        seen.update(fresh)
        found = await asyncio.gather(*(build.take(one, managed) for one in fresh))
        level = [further for more in found for further in more]
        for fetched in build.report():
            yield fetched
    for fetched in build.report():
        yield fetched


def shelf_of(spot: Spot) -> Shelf:
    """Where upstreams keep a file, and how it is proved."""
    path = wire.shelf_path(spot)
    proofs, is_needed = wire.proofs(path), spot.signed is None
    return Shelf(
        path,
        tuple(names.CHECKSUMS),
        proofs,
        wire.read_checksum,
        wire.said_in,
        is_proof_needed=is_needed,
        is_movable=spot.is_snapshot,
    )


class _Build:
    """The POMs that were read, each once, and what was fetched since the last report."""

    def __init__(self, reader: Addressed) -> None:
        self._reader = reader
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._poms: dict[tuple[str, str], asyncio.Task[Project | None]] = {}
        self._steps = 0
        self._fetched: list[Fetched] = []

    def report(self) -> list[Fetched]:
        found, self._fetched = self._fetched, []
        return found

    async def take(self, wanted: Dependency, managed: Management) -> list[Dependency]:
        """Fetch a dependency; what it wants in turn."""
        project = await self.project(wanted.name, wanted.version, 0)
        if wanted.filename:
            await self._file(wanted.name, wanted.version, wanted.filename)
        if project is None:
            return []
        return self.wanted(project, managed, await self.management(project, 0), is_root=False)

    def wanted(self, project: Project, first: Management, own: Management, *, is_root: bool) -> list[Dependency]:
        """The dependencies that a build follows from here, with versions that can be fetched."""
        found = []
        for said in project.dependencies:
            filled = project.fill(said)
            if not is_root and (known := first.get(filled.key)) is not None:
                filled = managed_version(
                    Dependency(*filled.key[:2], "", *filled.key[2:], filled.scope), {known.key: known}
                )
            filled = managed_version(filled, first, own)
            is_carried = filled.scope != "system" if is_root else filled.scope in _CARRIED and not said.is_optional
            if is_carried and filled.version and wire.is_version(filled.version) and filled.version[0] not in "[(":
                found.append(filled)
        return found

    async def project(self, name: str, version: str, depth: int) -> Project | None:
        """A POM with everything that it inherits; None where it cannot be had, or where POMs go in circles."""
        self._steps += 1
        if depth > _DEEPEST or self._steps > _MOST:
            return None
        key = (name, version)
        if key not in self._poms:
            self._poms[key] = asyncio.ensure_future(self._pom(name, version))
        said = await asyncio.shield(self._poms[key])
        if said is None:
            return None
        project = replace(said, properties=dict(said.properties))
        await self.complete(project, depth)
        return project

    async def _pom(self, name: str, version: str) -> Project | None:
        """A POM as written, which waits for no other one."""
        body = await self._file(name, version, f"{names.split(name)[1]}-{version}.pom")
        if body is None:
            return None
        try:
            return parse_project(body)
        except Invalid as error:
            self._fetched.append(Fetched(f"{name}:{version}", why=error.message))
            return None

    async def complete(self, project: Project, depth: int) -> None:
        """Let a project inherit from its parents."""
        parent = None
        if project.parent is not None and all(project.parent):
            group, artifact, version = project.parent
            parent = await self.project(f"{group}:{artifact}", version, depth + 1)
        project.inherit(parent)

    async def management(self, project: Project, depth: int) -> Management:
        """The versions that a project manages: its own first, then what it imports."""
        found: Management = {}
        imports = []
        for said in project.managed:
            filled = project.fill(said)
            if filled.scope == "import" and filled.type == "pom":
                imports.append(filled)
            else:
                found.setdefault(filled.key, filled)
        for one in imports if depth < _DEEPEST else ():
            imported = await self.project(one.name, one.version, depth + 1) if one.version else None
            if imported is not None:
                found = await self.management(imported, depth + 1) | found
        return found

    async def _file(self, name: str, version: str, filename: str) -> bytes | None:
        """A file, fetched and noted, and its bytes where it is a POM; None where it cannot be had."""
        group, artifact = names.split(name)
        label = f"{name}:{version} {filename}"
        try:
            names.normalize(name)
            spot = Spot(Kind.FILE, group, artifact, version, filename)
            async with self._gate:
                opened = await self._reader.whole(name, version, spot.key, shelf_of(spot))
                body = await _read(opened) if filename.endswith(".pom") else b""
        except GatewayError as error:
            self._fetched.append(Fetched(label, why=error.message))
            return None
        self._fetched.append(Fetched(label, opened.size or 0))
        return body


async def _read(opened: OpenFile) -> bytes:
    source = await opened.open()
    try:
        return await asyncio.to_thread(os.pread, source.fd, min(opened.size or 0, MAX_POM + 1), 0)
    finally:
        source.close()
