"""The JSON API (`pypi/<name>/json`), which renovate, dependabot and pdm read. Pure.

PyPI calls it legacy; it is made here from a listing and the metadata of one file of the version shown, for hosted and
upstream packages alike, so that it cannot show what the simple page hides.
"""

from datetime import UTC, datetime
from typing import Any

import msgspec

from adapters.pypi import names
from adapters.pypi.metadata import Metadata, info
from adapters.pypi.wire import file_path, serial, shown_files, yanked
from gateway.errors import PackageUnknown, VersionUnknown
from gateway.model import File, Listing

_BLANK = Metadata({})


def shown_version(listing: Listing, wanted: str | None) -> str:
    """The version to show: the wanted one in the listing's spelling, or the newest that is not yanked.

    Finals come before pre-releases. Raises VersionUnknown, or PackageUnknown for a listing without files.
    """
    files = shown_files(listing)
    if wanted is not None:
        found = next((file.version for file in files if names.same_version(file.version, wanted)), None)
        if found is None:
            raise VersionUnknown(f"{listing.package} has no version {wanted[:80]}")
        return found
    good = {file.version for file in files if not yanked(file)}
    newest = names.newest(good or {file.version for file in files})
    if newest is None:
        raise PackageUnknown(f"{listing.package} has no files")
    return newest


def metadata_file(listing: Listing, version: str) -> File | None:
    """The file of a version whose metadata is cheapest to have: a hosted one, else a wheel with a promised sidecar."""
    files = [file for file in shown_files(listing) if file.version == version]
    hosted = next((file for file in files if file.url is None), None)
    return hosted or next((file for file in files if "metadata_sha256" in file.facts), None)


def render_project(
    listing: Listing, version: str, metadata: Metadata | None, base: str, *, with_releases: bool
) -> bytes:
    """The document for one version. `base`: the repository's external address; URLs in it are absolute."""
    files = shown_files(listing)
    urls = [_file(listing.package, file, base) for file in files if file.version == version]
    document: dict[str, Any] = {
        "info": _info(listing, version, metadata or _BLANK, base),
        "last_serial": serial(listing) or 0,
        "urls": urls,
        "vulnerabilities": [],
    }
    if with_releases:
        releases: dict[str, list[dict[str, Any]]] = {}
        for file in files:
            releases.setdefault(file.version, []).append(_file(listing.package, file, base))
        document["releases"] = releases
    return msgspec.json.encode(document)


def _info(listing: Listing, version: str, metadata: Metadata, base: str) -> dict[str, Any]:
    release = [file for file in shown_files(listing) if file.version == version]
    reasons = [yanked(file) for file in release]
    is_yanked = bool(reasons) and all(reason is not False for reason in reasons)
    said = info(metadata)
    requires = next((file.facts["requires_python"] for file in release if "requires_python" in file.facts), None)
    page = f"{base}simple/{listing.package}/"
    return said | {
        "name": metadata.text("name") or listing.package,
        "version": version,
        "requires_python": said["requires_python"] or requires,
        "yanked": is_yanked,
        "yanked_reason": next((reason for reason in reasons if isinstance(reason, str)), None) if is_yanked else None,
        "package_url": page,
        "project_url": page,
        "release_url": page,
        "bugtrack_url": None,
        "docs_url": None,
        "downloads": {"last_day": -1, "last_month": -1, "last_week": -1},
    }


def _file(package: str, file: File, base: str) -> dict[str, Any]:
    named = names.parse_filename(file.filename, package)
    reason = yanked(file)
    promise = file.facts.get("metadata_sha256")
    described: dict[str, Any] = {
        "comment_text": file.facts.get("comment", ""),
        "digests": dict(file.hashes),
        "downloads": -1,
        "filename": file.filename,
        "has_sig": False,
        "md5_digest": file.hashes.get("md5"),
        "packagetype": named.kind if named else "sdist",
        "python_version": named.python if named else "source",
        "requires_python": file.facts.get("requires_python"),
        "size": file.size,
        "upload_time": None,
        "upload_time_iso_8601": file.uploaded_at,
        "url": f"{base}{file_path(package, file)}",
        "yanked": reason is not False,
        "yanked_reason": reason if isinstance(reason, str) else None,
        "core-metadata": {"sha256": promise} if promise else False,
    }
    if file.uploaded_at is not None:
        moment = datetime.fromisoformat(file.uploaded_at).astimezone(UTC)
        described["upload_time"] = moment.strftime("%Y-%m-%dT%H:%M:%S")
    return described
