"""Changing packages: publish, deprecate, unpublish, owners, stars, tags (npm.md §5 to §7).

A PUT with a tarball publishes; one without is the whole document come back, of which only the differences count.
Removal happens at `PUT NAME/-rev/REV`, since npm sends the DELETE that should follow to a nonsense address when only a
scope is configured for this registry, and reports success all the same (npm/cli#4253).
"""

from typing import TYPE_CHECKING, Any

import msgspec

from adapters.npm import names, patching, render, routes_team
from adapters.npm.addresses import json_body, package_of, routes, unknown
from adapters.npm.publishing import Release, Sealed, Sent
from adapters.npm.receiving import Checked, checked, is_recent, now_text, received
from gateway.errors import AlreadyExists, Conflict, Forbidden, Invalid, NameRetired, Unknown
from gateway.model import Listing, Scope, Visibility
from gateway.publish import NewFile
from gateway.store.rows import Edit, HostedPackage

if TYPE_CHECKING:
    from gateway.web.answers import Answer
    from gateway.web.call import Call

PROVENANCE = "provenance"
_RETRY_SECONDS = 600.0  # for which the same PUT again is a retry (npm retries 5xx and lost answers), not a duplicate


async def put(call: "Call") -> "Answer":
    """PUT NAME: publish, or change what was GET."""
    package = package_of(call, Scope.WRITE)
    hosted = await call.publish.begin(package, refuse_known_upstream=True)
    async with received(call, package) as came:
        if came.tarball_name is None:
            return await _change(call, package, came.sent, came.sent.rev, removes=False)
        release = await checked(call, package, came)
        if is_retry(call, hosted, release):
            assert hosted is not None
            return done(call, package, hosted.row.revision, 201)
        refuse_duplicate(hosted, release.release.version)
        revision = await commit(call, hosted, release)
    return done(call, package, revision, 201)


async def put_revision(call: "Call") -> "Answer":
    """PUT NAME/-rev/REV: change what was GET at that revision; versions that are missing are unpublished."""
    package = package_of(call, Scope.WRITE)
    await call.publish.begin(package, refuse_known_upstream=True)
    async with received(call, package) as came:
        if came.tarball_name is not None:
            raise Invalid("a version is published without naming a revision")
        return await _change(call, package, came.sent, call.path["revision"], removes=True)


async def delete_package(call: "Call") -> "Answer":
    """DELETE NAME/-rev/REV: unpublish every version; the name stays ours."""
    package = package_of(call)
    hosted = await _hosted(call, package)
    expected = patching.revision_in(call.path["revision"])
    revision = await call.publish.edit(package, Edit(delete_package=True), expected_revision=expected)
    return done(call, package, revision if hosted.files else hosted.row.revision, 200)


async def delete_tarball(call: "Call") -> "Answer":
    """DELETE NAME/-/FILE/-rev/REV: what should follow a removal; it goes well when the version is gone already."""
    package, filename = package_of(call), call.path["filename"]
    hosted = await _hosted(call, package)
    call.publish.require(Scope.DELETE, package)
    if hosted.find(filename) is None:
        return done(call, package, hosted.row.revision, 200)
    listing = await call.pull.listing(package)
    edit = patching.removal_of(listing, filename, now_text(), is_whole=_is_whole(hosted, listing))
    expected = patching.revision_in(call.path["revision"])
    return done(call, package, await call.publish.edit(package, edit, expected_revision=expected), 200)


async def put_tag(call: "Call") -> "Answer":
    """PUT -/package/NAME/dist-tags/TAG: a JSON string with the version."""
    package, tag = package_of(call, Scope.WRITE), call.path["tag"]
    await call.publish.begin(package, refuse_known_upstream=True)
    version = await json_body(call)
    if not isinstance(version, str):
        raise Invalid("expected the version as a JSON string")
    names.check_tag(tag)
    await _hosted(call, package)
    edit = patching.tag_of(await call.pull.listing(package), tag, version)
    return done(call, package, await call.publish.edit(package, edit), 201)


async def delete_tag(call: "Call") -> "Answer":
    """DELETE -/package/NAME/dist-tags/TAG; a package never goes without `latest`."""
    package, tag = package_of(call, Scope.WRITE), call.path["tag"]
    await call.publish.begin(package, refuse_known_upstream=True)
    hosted = await _hosted(call, package)
    if tag == "latest":
        raise Forbidden("the tag latest cannot be removed, only moved")
    if tag not in hosted.tags:
        raise Unknown(f"{package} has no tag {tag[:80]!r}")
    return done(call, package, await call.publish.edit(package, Edit(tags={tag: None})), 200)


async def star(call: "Call") -> "Answer":
    """PUT or DELETE -/user/package/NAME/star: whoever may read a package may like it."""
    package = package_of(call)
    call.accounts.require_signed_in()
    hosted = await _hosted(call, package)
    users: dict[str, Any] = dict(hosted.row.facts.get("users", {}))
    users.pop(call.actor.name, None)
    if call.method == "PUT":
        users[call.actor.name] = True
    edit = Edit(facts={**hosted.row.facts, "users": users})
    expected = hosted.row.revision
    revision = await call.publish.edit(package, edit, expected_revision=expected, scope=Scope.READ)
    return done(call, package, revision, 200)


async def commit(call: "Call", hosted: HostedPackage | None, release: Checked) -> int:
    """Publish a release that was checked; returns the revision. Raises Forbidden for a version that exists."""
    wanted, sealed = release.release, release.sealed
    await _restrict(call, hosted, wanted)
    now = now_text()
    file = NewFile(
        wanted.filename,
        wanted.version,
        release.upload,
        release.hashes,
        now,
        {"manifest": sealed.manifest},
        attachments_of(sealed),
    )
    tags = wanted.tags if hosted is not None and "latest" in hosted.tags else {"latest": wanted.version, **wanted.tags}
    try:
        done_ = await call.publish.commit(wanted.package, [file], facts=_facts(call, hosted, wanted, now), tags=tags)
    except (AlreadyExists, NameRetired) as error:
        raise _published_before(wanted.version) from error
    return done_.revision


def attachments_of(sealed: Sealed) -> dict[str, tuple[bytes, str]]:
    """What is kept beside the tarball."""
    if sealed.provenance is None:
        return {}
    return {PROVENANCE: (sealed.provenance.bundle, sealed.provenance.content_type)}


def is_retry(call: "Call", hosted: HostedPackage | None, release: Checked) -> bool:
    """Whether this actor published exactly this a moment ago, and its client did not hear of it."""
    file = hosted.find(release.release.filename) if hosted is not None else None
    if file is None:
        return False
    publisher = file.facts.get("manifest", {}).get("_npmUser", {}).get("name")
    is_same = file.hashes.get("sha512") == release.hashes["sha512"] and publisher == call.actor.name
    return is_same and is_recent(file.uploaded_at, _RETRY_SECONDS)


def refuse_duplicate(hosted: HostedPackage | None, version: str) -> None:
    """Raise Forbidden for a version that is or was published: 409 would make npm 6 merge, and others look for this."""
    if hosted is None:
        return
    if version in hosted.tombstone_versions or any(file.version == version for file in hosted.files):
        raise _published_before(version)


def done(call: "Call", package: str, revision: int, status: int) -> "Answer":
    """What CouchDB would say."""
    rev = render.revision(package, revision)
    return call.json({"ok": True, "id": package, "rev": rev, "success": True}, status)


async def _change(call: "Call", package: str, sent: Sent, rev: str | None, *, removes: bool) -> "Answer":
    """Apply the differences between what the sender was shown and what it sent back."""
    hosted = await _hosted(call, package)
    listing = await call.pull.listing(package)
    expected = patching.revision_in(rev)
    if expected is not None and expected != hosted.row.revision:
        raise Conflict(f"{package} has changed since it was read: get the document and try again")
    if expected is None:
        sent = msgspec.structs.replace(sent, tags=None, maintainers=None)  # without a view there are no differences
    is_whole = _is_whole(hosted, listing)
    edit = patching.edit_of(listing, sent, call.actor.name, now_text(), removes=removes, is_whole=is_whole)
    if edit is None:
        return done(call, package, hosted.row.revision, 201)
    if edit.facts is not None and "maintainers" in edit.facts:
        await routes_team.grant_owners(call, package, listing.facts.get("maintainers", []), edit.facts["maintainers"])
    return done(call, package, await call.publish.edit(package, edit, expected_revision=expected), 201)


async def _hosted(call: "Call", package: str) -> HostedPackage:
    """What is hosted of the package; raises PackageUnknown and asks no upstream, since the name may be garbled."""
    hosted = await call.publish.hosted(package)
    if hosted is None or not (hosted.files or hosted.tombstones):
        raise unknown(call, package)
    return hosted


def _is_whole(hosted: HostedPackage, listing: Listing) -> bool:
    """Whether the actor is shown every version that is published here."""
    return {file.filename for file in hosted.files} <= {file.filename for file in listing.files if file.url is None}


def _facts(call: "Call", hosted: HostedPackage | None, release: Release, now: str) -> dict[str, Any]:
    """The document-level facts after a publish; the readme is that of `latest`."""
    facts: dict[str, Any] = dict(hosted.row.facts) if hosted is not None else {}
    facts.setdefault("created", now)
    facts.setdefault("maintainers", [{"name": call.actor.name}])
    facts["modified"] = now
    if release.readme and ("latest" in release.tags or not facts.get("readme")):
        facts["readme"] = release.readme
    return facts


async def _restrict(call: "Call", hosted: HostedPackage | None, release: Release) -> None:
    """Honour `--access restricted` at a first publish; in a repository that is not public it asks for nothing new."""
    is_first = hosted is None or not hosted.files
    if release.access == "restricted" and is_first and call.repository.visibility is Visibility.PUBLIC:
        await call.publish.restrict(release.package, is_restricted=True)


def _published_before(version: str) -> Forbidden:
    # lerna and nx look for these words (npm.md §5).
    return Forbidden(f"You cannot publish over the previously published versions: {version}.")


ROUTES = (
    *routes("PUT", "-/package/NAME/dist-tags/{tag}", put_tag, Scope.WRITE),
    *routes("POST", "-/package/NAME/dist-tags/{tag}", put_tag, Scope.WRITE),
    *routes("DELETE", "-/package/NAME/dist-tags/{tag}", delete_tag, Scope.WRITE),
    *routes("PUT", "-/user/package/NAME/star", star),
    *routes("DELETE", "-/user/package/NAME/star", star),
    *routes("PUT", "NAME/-rev/{revision}", put_revision, Scope.WRITE),
    *routes("DELETE", "NAME/-rev/{revision}", delete_package, Scope.DELETE),
    *routes("DELETE", "NAME/-/{filename}/-rev/{revision}", delete_tarball, Scope.DELETE),
    *routes("DELETE", "NAME/-/{filescope:@[^/]+}/{filename}/-rev/{revision}", delete_tarball, Scope.DELETE),
    *routes("PUT", "NAME", put, Scope.WRITE),
)
