"""The publishing API of Maven Central's portal, below `-/`: a zip in repository layout, published as a whole or not.

Everything in a bundle is checked as a deployment of it would be, and its checksums are compared with its files; one
fault fails all of it. What waits for a person (`USER_MANAGED`) is kept as it came, and checked again when published.
"""

import asyncio
import json
import time
import uuid
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from adapters.maven import deploy, names, wire
from adapters.maven.contents import inspect
from adapters.maven.names import Kind, Spot
from gateway.errors import AlreadyExists, Conflict, GatewayError, Invalid, TooLarge, Unknown
from gateway.publish import NewFile
from gateway.store.rows import StagedRow
from gateway.web.form import Data, FormReader, Part
from gateway.zip_files import check_directory

if TYPE_CHECKING:
    from gateway.store.blobs import Upload
    from gateway.web.answers import Answer
    from gateway.web.call import Call

_MOST_FILES = 5_000
_CHECKSUM_SIZE = 4096
_STEP = 1 << 20
_KINDS = frozenset({"USER_MANAGED", "AUTOMATIC"})
_FORM_OVERHEAD = 1 << 20
_KEPT_SECONDS = 7 * 86400.0
_UNREADABLE = (zipfile.BadZipFile, zlib.error, RuntimeError, OSError, EOFError)
_WAITING, _DONE, _FAILED = "VALIDATED", "PUBLISHED", "FAILED"


class _Checked(Struct):
    """A bundle's files, kept but not published, by package. errors: what is wrong, by path."""

    files: dict[str, list[NewFile]] = field(default_factory=lambda: defaultdict(list))
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    versions: set[tuple[str, str]] = field(default_factory=set)
    errors: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


# ── the API ──────────────────────────────────────────────────────────────────────────────────────────────────────
async def upload(call: "Call") -> "Answer":
    """POST -/api/v1/publisher/upload?name=&publishingType=: a form with the field `bundle`."""
    kind = call.query.get("publishingType") or "USER_MANAGED"
    if kind not in _KINDS:
        raise Invalid(f"publishingType: expected one of {', '.join(sorted(_KINDS))}, got {kind[:40]!r}")
    async with call.publish.upload() as content:
        await _receive(call, content)
        await content.finish()
        checked = await _check(call, content.path)
        state = _FAILED if checked.errors else _WAITING
        if state == _WAITING and kind == "AUTOMATIC":
            state = await _publish(call, checked)
        id_ = str(uuid.uuid4())
        await _forget_old(call)
        await _record(call, id_, call.query.get("name", "")[:200], state, checked, content)
    return call.text(id_, 201)


async def status(call: "Call") -> "Answer":
    """POST -/api/v1/publisher/status?id=."""
    row = await _find(call, call.query.get("id", ""))
    told = {"deploymentId": row.id, **{key: row.facts[key] for key in ("deploymentName", "deploymentState", "purls")}}
    return call.json({**told, "errors": row.facts["errors"]})


async def publish(call: "Call") -> "Answer":
    """POST -/api/v1/publisher/deployment/{id}: publish what was checked and waits."""
    row = await _find(call, call.path["id"])
    if row.facts["deploymentState"] != _WAITING:
        raise Conflict(f"the deployment is {row.facts['deploymentState']}, not {_WAITING}")
    async with call.publish.upload() as content:
        with call.publish.open_kept(row.digest) as blob:
            checked = await _check(call, Path(f"/proc/self/fd/{blob.fd}"))
        state = _FAILED if checked.errors else await _publish(call, checked)
        await call.publish.unstage(row, "bundle.publish")
        await _record(call, row.id, row.facts["deploymentName"], state, checked, content)
    return call.text("", 204)


async def drop(call: "Call") -> "Answer":
    """DELETE -/api/v1/publisher/deployment/{id}: forget it; what was published stays."""
    await call.publish.unstage(await _find(call, call.path["id"]), "bundle.drop")
    return call.text("", 204)


# ── how ──────────────────────────────────────────────────────────────────────────────────────────────────────────
async def _receive(call: "Call", content: "Upload") -> None:
    reader = FormReader(call.headers.get("Content-Type", ""))
    current, seen = "", False
    async for chunk in call.chunks(call.services.config.server.max_upload_size + _FORM_OVERHEAD):
        for event in reader.feed(chunk):
            if isinstance(event, Part):
                if event.name == "bundle" and seen:
                    raise Invalid("bundle: sent twice")
                current = event.name
                seen = seen or current == "bundle"
            elif isinstance(event, Data) and current == "bundle":
                await content.write(event.body)
    reader.close()
    if not seen:
        raise Invalid("bundle: missing")


async def _check(call: "Call", path: Path) -> _Checked:
    """Read every file of a bundle and keep its bytes; what is wrong is in `errors`. Raises Forbidden, NameTaken."""
    checked = _Checked()
    try:
        spots = await asyncio.to_thread(_spots, path, call.services.config.server.max_upload_size)
    except (Invalid, *_UNREADABLE) as error:
        checked.errors["bundle"].append(str(error) or "not a zip archive")
        return checked
    sums: dict[str, dict[str, str]] = {}
    with zipfile.ZipFile(path) as archive:
        for name, spot in spots.items():
            try:
                await _check_one(call, archive, name, spot, checked, sums)
            except (Invalid, AlreadyExists, Conflict, *_UNREADABLE) as error:
                checked.errors[name].append(error.message if isinstance(error, GatewayError) else str(error))
        for name, spot in spots.items():
            if spot is not None and spot.checksum:
                await asyncio.to_thread(_check_sum, archive, name, spot, sums, checked)
    for package, version in sorted(checked.versions):
        if not any(
            file.filename == names.pom_name(names.split(package)[1], version) for file in checked.files[package]
        ):
            checked.errors[f"{package}:{version}"].append("there is no POM")
    if not checked.versions and not checked.errors:
        checked.errors["bundle"].append("there is nothing to publish in it")
    return checked


def _spots(path: Path, limit: int) -> dict[str, Spot | None]:
    """What each file of a bundle is; None for what fits no place. Blocks."""
    with path.open("rb") as file:
        file.seek(0, 2)
        check_directory(file, file.tell())
        with zipfile.ZipFile(file) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
    if len(members) > _MOST_FILES:
        raise Invalid(f"the bundle has {len(members)} files, more than {_MOST_FILES}")
    if sum(info.file_size for info in members) > limit:
        raise TooLarge(f"the bundle's files have more than {limit} bytes")
    return {info.filename: names.parse_path(info.filename) for info in members}


async def _check_one(
    call: "Call",
    archive: zipfile.ZipFile,
    name: str,
    spot: Spot | None,
    checked: _Checked,
    sums: dict[str, dict[str, str]],
) -> None:
    if spot is None or (spot.kind is Kind.FILE and (why := names.refusal(spot)) is not None):
        raise Invalid("it fits no place in a repository" if spot is None else str(why))
    if spot.kind is not Kind.FILE or spot.checksum:
        return  # ours are made anew; checksums are compared when all files are known
    if spot.is_snapshot:
        raise Invalid("a bundle holds releases only")
    call.package = spot.package
    deploy.check_policy(call, spot)
    hosted = await call.publish.begin(spot.package)
    await deploy.check_case(call, spot, hosted)
    async with call.publish.upload(tuple(names.CHECKSUMS)) as content:
        with archive.open(name) as member:
            while piece := await asyncio.to_thread(member.read, _STEP):
                await content.write(piece)
        digest = await content.finish()
        sums[f"{spot.package} {spot.key}"] = content.hexes()
        known = hosted.find(spot.key) if hosted is not None else None
        if known is not None and known.sha256 != digest.hex:
            raise deploy.immutable(spot, known)
        noted = await asyncio.to_thread(inspect, spot, names.parse_filename(spot), content.path)
        await call.publish.keep(content)
    new = NewFile(spot.key, spot.version, content, content.hexes(), deploy.now(), noted.facts)
    checked.files[spot.package].append(new)
    checked.versions.add((spot.package, spot.version))
    if noted.package_facts is not None:
        checked.facts[spot.package] = noted.package_facts


def _check_sum(
    archive: zipfile.ZipFile, name: str, spot: Spot, sums: Mapping[str, Mapping[str, str]], checked: _Checked
) -> None:
    """Compare a checksum in the bundle with the file that it is of. Blocks."""
    known = sums.get(f"{spot.package} {spot.key}")
    if spot.kind is not Kind.FILE or known is None:
        return
    try:
        with archive.open(name) as member:
            said = wire.read_checksum(spot.checksum, member.read(_CHECKSUM_SIZE))
    except _UNREADABLE as error:
        checked.errors[name].append(str(error))
        return
    if said != known[spot.checksum]:
        checked.errors[name].append(f"it is not the {spot.checksum} of the file beside it")


async def _publish(call: "Call", checked: _Checked) -> str:
    """Publish all of it in one transaction; the state that follows."""
    batches = {package: (files, checked.facts.get(package)) for package, files in checked.files.items()}
    try:
        await call.publish.commit_all(batches, refuses_twins=True)
    except GatewayError as error:
        if error.status >= 500:
            raise
        checked.errors["bundle"].append(error.message)
        return _FAILED
    return _DONE


async def _record(call: "Call", id_: str, name: str, state: str, checked: _Checked, content: "Upload") -> None:
    """Note the outcome. Only a bundle that waits keeps its bytes; in place of any other's is what it came to."""
    purls = sorted(f"pkg:maven/{package.replace(':', '/')}@{version}" for package, version in checked.versions)
    facts = {"deploymentName": name, "deploymentState": state, "purls": purls, "errors": dict(checked.errors)}
    package = min(checked.files, default="")
    if state == _WAITING:
        digest, size = await call.publish.keep(content), content.size
    else:
        async with call.publish.upload() as report:
            await report.write(json.dumps(facts).encode())
            digest, size = await call.publish.keep(report), report.size
    row = StagedRow(id_, call.repository.id, package, "", digest, size, facts, call.actor.name, time.time())
    await call.publish.stage(row)


async def _find(call: "Call", id_: str) -> StagedRow:
    found = next((row for row in await call.publish.staged() if row.id == id_ and "deploymentState" in row.facts), None)
    if found is None:
        raise Unknown("there is no such deployment")
    return found


async def _forget_old(call: "Call") -> None:
    for row in await call.publish.staged():
        if row.facts.get("deploymentState") in {_DONE, _FAILED} and time.time() - row.created_at > _KEPT_SECONDS:
            await call.publish.unstage(row, "bundle.forget")
