"""A PUT without a tarball: what its sender wants changed, found by comparing with what it was shown.

Pure. Clients send back the whole document that they were given, with something changed: `deprecated`, a version gone,
tags, owners, stars (npm.md §6). Only these differences count. What the sender was not shown it did not mean to change,
so the comparison is with the listing as this actor sees it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from adapters.npm import names, semver
from adapters.npm.packument import manifest_of
from adapters.npm.publishing import Sent
from adapters.npm.render import repaired_tags
from gateway.errors import Conflict, Forbidden, Invalid, VersionUnknown
from gateway.model import File, Listing
from gateway.store.rows import Edit

_MAX_REASON = 10_000


class _Sent(msgspec.Struct):
    """What may have changed in a version."""

    deprecated: Any = None


_VERSION = msgspec.json.Decoder(_Sent)


def revision_in(text: str | None) -> int | None:
    """The revision that a `_rev` names, None for no `_rev`; raises Conflict for one that we never gave out."""
    if text is None:
        return None
    number = text.partition("-")[0]
    if not (number.isascii() and number.isdigit() and len(number) < 16):
        raise Conflict(f"stale revision {text[:80]!r}: get the document and try again")
    return int(number)


def edit_of(listing: Listing, sent: Sent, actor: str, now: str, *, removes: bool, is_whole: bool = True) -> Edit | None:
    """The changes that the sender means, or None if there are none.

    removes: whether versions that are missing mean deletion (they do only where the address names a revision). now:
    RFC 3339, becomes `modified`. is_whole: whether the listing shows this actor every version that is hosted. Raises
    Forbidden for a change to an upstream's version, Invalid for what cannot be.
    """
    shown = {file.version: file for file in listing.files}
    gone = _removed(shown, sent) if removes else ()
    file_facts = _deprecations({version: file for version, file in shown.items() if version not in gone}, sent)
    tags = _tags(listing, sent, gone) if sent.tags is not None or gone else {}
    facts = _facts(listing, sent, actor)
    if not (gone or file_facts or tags or facts):
        return None
    if gone and is_whole and len(gone) == sum(file.url is None for file in listing.files):
        return Edit(delete_package=True)
    kept = {key: value for key, value in listing.facts.items() if key not in {"tags", "revision"}}
    return Edit(
        facts={**kept, **facts, "modified": now},
        tags=tags,
        file_facts=file_facts,
        delete_files=tuple(shown[version].filename for version in gone),
    )


def removal_of(listing: Listing, filename: str, now: str, *, is_whole: bool = True) -> Edit:
    """What deleting one tarball means: its version goes, tags that named it are repaired. is_whole: as `edit_of`."""
    gone = tuple(file.version for file in listing.files if file.filename == filename)
    _refuse_upstream(file for file in listing.files if file.filename == filename)
    if is_whole and len(gone) == sum(file.url is None for file in listing.files):
        return Edit(delete_package=True)
    kept = {key: value for key, value in listing.facts.items() if key not in {"tags", "revision"}}
    return Edit({**kept, "modified": now}, _repaired(listing, gone), {}, (filename,))


def tag_of(listing: Listing, tag: str, version: str) -> Edit:
    """Put a tag on a version; raises Invalid, VersionUnknown or Forbidden."""
    names.check_tag(tag)
    file = next((file for file in listing.files if file.version == version), None)
    if file is None:
        raise VersionUnknown(f"version not found: {listing.package}@{version[:80]}")
    return Edit(tags={tag: version})


def _removed(shown: Mapping[str, File], sent: Sent) -> tuple[str, ...]:
    if sent.versions is None:
        return ()
    gone = tuple(version for version in shown if version not in sent.versions)
    _refuse_upstream(shown[version] for version in gone)
    return gone


def _deprecations(shown: Mapping[str, File], sent: Sent) -> dict[str, Mapping[str, Any]]:
    """Filename → facts with the new `deprecated`; an empty text takes it away (npm.md §6)."""
    changed: dict[str, Mapping[str, Any]] = {}
    for version, raw in (sent.versions or {}).items():
        file = shown.get(version)
        if file is None:
            raise Invalid(f"version {version[:80]} comes without a tarball")
        try:
            wanted = _VERSION.decode(raw).deprecated
        except (msgspec.DecodeError, RecursionError) as error:
            raise Invalid(f"the manifest of {version[:80]} is not an object") from error
        manifest = manifest_of(file)
        text = wanted[:_MAX_REASON] if isinstance(wanted, str) else ""
        if text == (manifest.get("deprecated") or ""):
            continue
        _refuse_upstream([file])
        manifest.pop("deprecated", None)
        changed[file.filename] = {**file.facts, "manifest": manifest | ({"deprecated": text} if text else {})}
    return changed


def _tags(listing: Listing, sent: Sent, gone: tuple[str, ...]) -> dict[str, str | None]:
    """Tag → version, None to delete; `latest` never goes while a version is left.

    A tag of a version that the sender was not shown stood for another in its document, and stays unless it was moved.
    """
    known: Mapping[str, str] = listing.facts.get("tags", {})
    shown = repaired_tags(listing)
    left = {file.version for file in listing.files} - set(gone)
    unseen = {tag for tag, version in known.items() if version not in left and version not in gone}
    changes: dict[str, str | None] = dict(_repaired(listing, gone))
    for tag, version in (sent.tags or {}).items():
        if shown.get(tag) == version or (tag in unseen and shown[tag] in gone):
            continue
        names.check_tag(tag)
        if version in left:
            changes[tag] = version
        elif version not in gone:
            raise VersionUnknown(f"tag {tag!r} names {version[:80]!r}, which is not a version of {listing.package}")
    if sent.tags is not None:
        changes |= {tag: None for tag in known.keys() - unseen if tag not in sent.tags and tag != "latest"}
    return changes


def _repaired(listing: Listing, gone: tuple[str, ...]) -> dict[str, str | None]:
    """Tags that named a version which goes: `latest` moves to the newest that is left, others go with it."""
    known: Mapping[str, str] = listing.facts.get("tags", {})
    left = [file.version for file in listing.files if file.version not in gone]
    return {tag: semver.newest(left) if tag == "latest" else None for tag, version in known.items() if version in gone}


def _facts(listing: Listing, sent: Sent, actor: str) -> dict[str, Any]:
    """Owners and stars that changed. Nobody stars in another's name."""
    changed: dict[str, Any] = {}
    if sent.maintainers is not None:
        owners = [_person(one) for one in sent.maintainers]
        known = listing.facts.get("maintainers", [])
        if sorted(one["name"] for one in owners) != sorted(str(one.get("name")) for one in known):
            if not owners:
                raise Invalid("a package keeps at least one owner")
            changed["maintainers"] = owners
    if sent.users is not None:
        users: dict[str, Any] = dict(listing.facts.get("users", {}))
        stars = bool(sent.users.get(actor))
        if stars != (actor in users):
            users.pop(actor, None)
            changed["users"] = users | ({actor: True} if stars else {})
    return changed


def _person(value: Any) -> dict[str, str]:
    """`{name, email}`, or `name <email>` as old clients write it."""
    if isinstance(value, str):
        value = {"name": value.partition("<")[0].strip()}
    if not isinstance(value, dict) or not isinstance(value.get("name"), str) or not value["name"]:
        raise Invalid("an owner needs a name")
    email = value.get("email")
    return {"name": value["name"][:100]} | ({"email": email[:300]} if isinstance(email, str) else {})


def _refuse_upstream(files: Iterable[File]) -> None:
    for file in files:
        if file.url is not None:
            raise Forbidden(f"version {file.version} comes from {file.origin} and cannot be changed here")
