"""Publishing and taking back: push, unlist, relist, delete, deprecate (nuget.md §6)."""

from typing import TYPE_CHECKING, Any

import msgspec

from adapters.nuget import names, reading
from adapters.nuget.addresses import known_package, routes, version_of
from adapters.nuget.receiving import Received, now_text, received
from gateway.errors import AlreadyExists, Invalid, PackageUnknown, VersionUnknown
from gateway.model import File, Scope
from gateway.publish import NewFile, settle
from gateway.store.rows import Edit, HostedPackage

if TYPE_CHECKING:
    from gateway.web.answers import Answer
    from gateway.web.call import Call

_MAX_BODY = 64 * 1024
_SYMBOLS = "symbolspackage"


async def push(call: "Call") -> "Answer":
    """PUT package: publish what the body holds; the nuspec inside says what it is."""
    async with received(call) as package:
        call.package = package.package
        if _SYMBOLS in package.contents.nuspec.types:
            raise Invalid("this is a symbol package, which has an address of its own")
        hosted = await call.publish.begin(package.package)
        _check_new(hosted, package)
        casing = {"id": package.contents.nuspec.id}  # that of the first publish stays
        committed = await call.publish.commit(package.package, [_file(package)], defaults=casing)
    if not committed.created:  # somebody was quicker with the same bytes
        raise AlreadyExists(f"{package.package} {package.version} was published before")
    return call.text("", 201)


def _check_new(hosted: HostedPackage | None, package: Received) -> None:
    """Raise AlreadyExists for a version that is published in any spelling, whatever its bytes."""
    if hosted is not None and hosted.find(names.nupkg(package.package, package.version)) is not None:
        raise AlreadyExists(f"{package.package} {package.version} was published before")


def _file(package: Received) -> NewFile:
    contents = package.contents
    attachments = {"nuspec": (contents.text, "application/xml"), **contents.embedded}
    facts: dict[str, Any] = {"entry": contents.nuspec.entry, "embedded": sorted(contents.embedded)}
    if "icon" in contents.embedded:
        facts["icon_type"] = contents.embedded["icon"][1]
    filename = names.nupkg(package.package, package.version)
    return NewFile(filename, package.version, package.upload, package.hashes, now_text(), facts, attachments)


# ── changing what is published ───────────────────────────────────────────────────────────────────────────────────
async def delete(call: "Call") -> "Answer":
    """DELETE package/ID/VERSION: unlist it; delete it for good where the repository's setting `hard_delete` says so."""
    if call.repository.settings.get("hard_delete") is True:
        await settle(lambda: _remove(call))
    else:
        await settle(lambda: _list(call, listed=False))
    return call.text("", 204)


async def relist(call: "Call") -> "Answer":
    """POST package/ID/VERSION: show an unlisted version in searches again."""
    await settle(lambda: _list(call, listed=True))
    return call.text("")


async def deprecate(call: "Call") -> "Answer":
    """PUT package/ID/VERSION/deprecation: a deprecation as registrations have it, or `null` to take it back."""
    body = await call.body(_MAX_BODY)
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid("expected a deprecation as JSON, or null") from error
    if value is not None and not isinstance(value, dict):
        raise Invalid("expected a deprecation as JSON, or null")
    deprecation = None if value is None else reading.deprecation_of(value)
    await settle(lambda: _deprecate(call, deprecation))
    return call.text("", 204)


async def _remove(call: "Call") -> None:
    hosted, file = await _hosted_file(call, Scope.DELETE)
    files = tuple(one.filename for one in hosted.files if one.version == file.version)  # its symbols too
    await call.publish.edit(call.package, Edit(delete_files=files), expected_revision=hosted.row.revision)


async def _deprecate(call: "Call", deprecation: dict[str, Any] | None) -> None:
    hosted, file = await _hosted_file(call)
    entry = {key: known for key, known in file.facts["entry"].items() if key != "deprecation"}
    if deprecation is not None:
        entry["deprecation"] = deprecation
    await _edit(call, hosted, file, {**file.facts, "entry": entry})


async def _list(call: "Call", *, listed: bool) -> None:
    hosted, file = await _hosted_file(call)
    if (file.facts.get("listed") is not False) is not listed:
        await _edit(call, hosted, file, {**file.facts, "listed": listed})


async def _edit(call: "Call", hosted: HostedPackage, file: File, facts: dict[str, Any]) -> None:
    edit = Edit(file_facts={file.filename: facts})
    await call.publish.edit(call.package, edit, expected_revision=hosted.row.revision)


async def _hosted_file(call: "Call", scope: Scope = Scope.WRITE) -> tuple[HostedPackage, File]:
    """The hosted package and the version's file; raises Forbidden, PackageUnknown or VersionUnknown."""
    package, version = known_package(call, call.path["id"]), version_of(call)
    call.publish.require(scope, package)
    hosted = await call.publish.hosted(package)
    if hosted is None:
        raise PackageUnknown(f"nothing is published here as {package}")
    file = hosted.find(names.nupkg(package, version))
    if file is None:
        raise VersionUnknown(f"{package} has no version {version}")
    return hosted, file


ROUTES = tuple(
    route
    for slash in ("", "/")
    for route in (
        *routes("PUT", f"package{slash}", push, Scope.WRITE),
        *routes("DELETE", f"package/{{id}}/{{version}}{slash}", delete, Scope.WRITE),
        *routes("POST", f"package/{{id}}/{{version}}{slash}", relist, Scope.WRITE),
    )
) + routes("PUT", "package/{id}/{version}/deprecation", deprecate, Scope.WRITE)
