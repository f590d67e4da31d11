"""Staged publishing: a version that waits for somebody to look at it (npm.md §10). Nobody can install it before."""

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from time import time
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from adapters.npm.addresses import package_of, routes
from adapters.npm.publishing import Provenance, Release, Sealed
from adapters.npm.receiving import Checked, checked, received
from adapters.npm.routes_publish import commit, done, refuse_duplicate
from gateway.errors import Conflict, Unknown
from gateway.model import Scope
from gateway.query import whole_number
from gateway.store.blobs import Upload
from gateway.store.rows import StagedRow

if TYPE_CHECKING:
    from gateway.web.answers import Answer
    from gateway.web.call import Call

_CHUNK = 256 * 1024
_MAX_PAGE = 1000


async def stage(call: "Call") -> "Answer":
    """POST -/stage/package/NAME: the document of a publish, kept aside."""
    package = package_of(call, Scope.WRITE)
    hosted = await call.publish.begin(package, refuse_known_upstream=True)
    async with received(call, package) as came:
        found = await checked(call, package, came)
        version = found.release.version
        refuse_duplicate(hosted, version)
        if any(row.package == package and row.version == version for row in await call.publish.staged()):
            raise Conflict(f"{package}@{version} is staged already")
        digest = await call.publish.keep(found.upload)
        row = StagedRow(
            str(uuid.uuid4()),
            call.repository.id,
            package,
            version,
            digest,
            found.upload.size,
            _facts(found),
            call.actor.name,
            time(),
        )
        await call.publish.stage(row)
    return call.json({"stageId": row.id}, 201)


async def staged(call: "Call") -> "Answer":
    """GET -/stage: what waits, a page at a time; clients go on until they have `total`."""
    wanted = call.query.get("package", "")
    rows = [row for row in await call.publish.staged() if wanted in {"", row.package}]
    page, size = whole_number(call.query, "page", 0), min(_MAX_PAGE, max(1, whole_number(call.query, "perPage", 100)))
    items = [_view(row) for row in rows[page * size : (page + 1) * size]]
    return call.json({"items": items, "page": page, "perPage": size, "total": len(rows)})


async def view(call: "Call") -> "Answer":
    """GET -/stage/ID."""
    return call.json(_view(await _row(call)))


async def tarball(call: "Call") -> "Answer":
    """GET -/stage/ID/tarball: for whoever has to decide."""
    row = await _row(call)
    # Without its digest it is not kept among the ready responses, which would outlive a rejection.
    return call.file(replace(call.publish.kept_file(row), digest=None))


async def approve(call: "Call") -> "Answer":
    """POST -/stage/ID/approve: publish it, as from now."""
    row = await _row(call)
    await call.drain()
    hosted = await call.publish.begin(row.package, refuse_known_upstream=True)
    refuse_duplicate(hosted, row.version)
    async with _uploaded(call, row) as upload:
        revision = await commit(call, hosted, _checked(row, upload))
    await call.publish.unstage(row, "stage.approve")
    return done(call, row.package, revision, 201)


async def reject(call: "Call") -> "Answer":
    """DELETE -/stage/ID: forget it; its version number stays free."""
    row = await _row(call)
    await call.publish.unstage(row, "stage.reject")
    return call.json({"ok": True})


@asynccontextmanager
async def _uploaded(call: "Call", row: StagedRow) -> AsyncIterator[Upload]:
    """The kept bytes as an upload of their own, hashed again."""
    async with call.publish.upload(("sha256", "sha1", "sha512")) as upload:
        with call.publish.open_kept(row.digest) as blob:
            offset = 0
            while chunk := os.pread(blob.fd, _CHUNK, offset):
                await upload.write(chunk)
                offset += len(chunk)
        (await upload.finish()).require(row.digest)
        yield upload


def _facts(found: Checked) -> dict[str, Any]:
    """Everything that publishing needs later, beside the bytes."""
    release, provenance = found.release, found.sealed.provenance
    facts: dict[str, Any] = {
        "manifest": found.sealed.manifest,
        "tags": release.tags,
        "readme": release.readme,
        "access": release.access,
    }
    if provenance is not None:
        facts["provenance"] = [provenance.bundle.decode(), provenance.content_type, provenance.predicate_type]
    return facts


def _checked(row: StagedRow, upload: Upload) -> Checked:
    facts = row.facts
    release = Release(
        row.package, row.version, facts["manifest"], facts["tags"], {}, access=facts["access"], readme=facts["readme"]
    )
    kept = facts.get("provenance")
    provenance = Provenance(kept[0].encode(), kept[1], kept[2]) if kept else None
    return Checked(release, Sealed(facts["manifest"], provenance), upload, upload.hexes())


def _view(row: StagedRow) -> dict[str, Any]:
    created = datetime.fromtimestamp(row.created_at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "id": row.id,
        "packageName": row.package,
        "version": row.version,
        "tag": next(iter(row.facts["tags"]), "latest"),
        "createdAt": created,
        "actor": row.actor,
        "actorType": "user",
        "shasum": row.facts["manifest"]["dist"]["shasum"],
        "status": "pending",
    }


async def _row(call: "Call") -> StagedRow:
    """The staged version of that id, if the actor may decide about it; raises Unknown otherwise."""
    wanted = call.path["id"]
    row = next((row for row in await call.publish.staged() if row.id == wanted), None)
    if row is None:
        raise Unknown("no such staged version")
    call.package = row.package
    return row


ROUTES = (
    *routes("POST", "-/stage/package/NAME", stage, Scope.WRITE),
    *routes("GET", "-/stage", staged),
    *routes("GET", "-/stage/{id}", view),
    *routes("GET", "-/stage/{id}/tarball", tarball),
    *routes("POST", "-/stage/{id}/approve", approve, Scope.WRITE),
    *routes("DELETE", "-/stage/{id}", reject, Scope.WRITE),
)
