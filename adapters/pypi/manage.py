"""Yank, delete and status: a small REST of our own below the repository, since PyPI's clients have no standard for it.

POST   manage/{name}/{version}/yank    {"reason": "…"}          POST manage/{name}/{version}/unyank
DELETE manage/{name}/{version}                                  DELETE manage/{name}/{version}/{filename}
PUT    manage/{name}/status            {"status": "archived", "reason": "…"}
"""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from adapters.pypi import names
from adapters.pypi.wire import QUARANTINED
from adapters.pypi.wire_read import STATUSES, clean_line
from gateway.errors import FileUnknown, Invalid, PackageUnknown, VersionUnknown
from gateway.model import File, Scope
from gateway.publish import settle
from gateway.store.rows import Edit

if TYPE_CHECKING:
    from gateway.store.rows import HostedPackage
    from gateway.web.answers import Answer
    from gateway.web.call import Call

_MAX_BODY = 64 * 1024


async def yank(call: "Call") -> "Answer":
    """POST manage/{name}/{version}/yank: installers take the version only when it is asked for exactly (PEP 592)."""
    reason = clean_line((await _body(call)).get("reason"), 500)
    return await settle(lambda: _edit_files(call, lambda facts: {**facts, "yanked": reason or True}))


async def unyank(call: "Call") -> "Answer":
    """POST manage/{name}/{version}/unyank."""
    return await settle(lambda: _edit_files(call, _without_yank))


async def delete_version(call: "Call") -> "Answer":
    """DELETE manage/{name}/{version}: every file of it; their names are never used again."""
    return await settle(lambda: _delete(call))


async def delete_file(call: "Call") -> "Answer":
    """DELETE manage/{name}/{version}/{filename}."""
    return await settle(lambda: _delete(call, call.path["filename"]))


async def set_status(call: "Call") -> "Answer":
    """PUT manage/{name}/status: a project status marker (PEP 792). Quarantine is set and lifted by admins only."""
    body = await _body(call)
    status, reason = body.get("status"), clean_line(body.get("reason"), 500)
    if status not in STATUSES:
        raise Invalid(f"status: expected one of {', '.join(STATUSES)}")
    return await settle(lambda: _mark(call, status, reason))


async def _mark(call: "Call", status: str, reason: str | None) -> "Answer":
    hosted = await _hosted(call)
    is_grave = QUARANTINED in {status, hosted.row.facts.get("status")}
    facts = {key: value for key, value in hosted.row.facts.items() if key not in {"status", "reason"}}
    facts |= {"status": status, **({"reason": reason} if reason else {}), "serial": _serial()}
    scope = Scope.ADMIN if is_grave else Scope.WRITE
    await call.publish.edit(call.package, Edit(facts=facts), expected_revision=hosted.row.revision, scope=scope)
    return call.json({"name": call.package, "status": status, "reason": reason or None})


async def _edit_files(call: "Call", change: Callable[[Mapping[str, Any]], dict[str, Any]]) -> "Answer":
    hosted, files = await _version(call)
    edit = Edit(
        facts={**hosted.row.facts, "serial": _serial()},
        file_facts={file.filename: change(file.facts) for file in files},
    )
    await call.publish.edit(call.package, edit, expected_revision=hosted.row.revision, scope=Scope.DELETE)
    yanked = {file.filename: change(file.facts).get("yanked", False) for file in files}
    return call.json({"name": call.package, "version": files[0].version, "yanked": yanked})


def _without_yank(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in facts.items() if key != "yanked"}


async def _delete(call: "Call", filename: str | None = None) -> "Answer":
    """Delete one file of a version, or all of them."""
    hosted, files = await _version(call)
    files = [file for file in files if filename in {None, file.filename}]
    if not files:
        raise FileUnknown(f"{call.package} has no file {(filename or '')[:80]} of that version")
    filenames = tuple(file.filename for file in files)
    edit = Edit(facts={**hosted.row.facts, "serial": _serial()}, delete_files=filenames)
    await call.publish.edit(call.package, edit, expected_revision=hosted.row.revision, scope=Scope.DELETE)
    return call.json({"name": call.package, "version": files[0].version, "deleted": list(filenames)})


async def _hosted(call: "Call") -> "HostedPackage":
    name = call.path["name"]
    if not names.is_name(name):
        raise PackageUnknown(f"not a valid name for a package: {name[:80]!r}")
    call.package = names.normalize(name)
    hosted = await call.publish.hosted(call.package)
    if hosted is None:
        raise PackageUnknown(f"nothing is published here as {call.package}")
    return hosted


async def _version(call: "Call") -> "tuple[HostedPackage, list[File]]":
    """The hosted package and its files of the version in the path, never none."""
    hosted = await _hosted(call)
    files = [file for file in hosted.files if names.same_version(file.version, call.path["version"])]
    if not files:
        raise VersionUnknown(f"{call.package} has no version {call.path['version'][:80]}")
    return hosted, files


async def _body(call: "Call") -> dict[str, Any]:
    """The JSON object in the body; an empty body is an empty object."""
    raw = await call.body(_MAX_BODY)
    try:
        value = msgspec.json.decode(raw) if raw.strip() else {}
    except (msgspec.DecodeError, RecursionError) as error:
        raise Invalid("expected a JSON object") from error
    if not isinstance(value, dict):
        raise Invalid("expected a JSON object")
    return value


def _serial() -> int:
    return int(time.time() * 1000)
