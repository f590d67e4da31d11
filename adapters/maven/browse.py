"""GET of a folder: what is published or cached below it, as a page of relative links.

The root answers whoever may read, which is how tools try credentials; coursier looks for versions here where there is
no metadata. What an upstream has besides is never listed. `listings: false` in a repository's settings turns it off.
"""

from html import escape
from typing import TYPE_CHECKING
from urllib.parse import quote

from adapters.maven import metadata, names
from gateway.errors import FileUnknown, PackageUnknown, Unknown
from gateway.model import HOSTED_LAYER, Scope

if TYPE_CHECKING:
    from gateway.web.answers import Answer
    from gateway.web.call import Call


async def folder(call: "Call", path: str) -> "Answer":
    """The page of a folder, whose path is empty or ends in a slash."""
    call.pull.require(Scope.READ)
    if call.repository.settings.get("listings") is False and path:
        raise FileUnknown("this repository does not list its folders")
    found = set() if call.repository.settings.get("listings") is False else await _entries(call, path)
    if not found and path:
        raise FileUnknown(f"there is nothing below {path[:200]}")
    title = escape(f"{call.repository.key}/{path}")
    lines = ["<!DOCTYPE html>", "<html>", f'<head><meta charset="utf-8"><title>{title}</title></head>', "<body>"]
    lines += [f"<h1>{title}</h1>", "<pre>", *(['<a href="../">../</a>'] if path else [])]
    lines += [f'<a href="{quote(name)}">{escape(name)}</a>' for name in sorted(found)]
    body = "\n".join([*lines, "</pre>", "</body>", "</html>", ""])
    return call.text(body, content_type="text/html; charset=utf-8", headers=(("Cache-Control", "no-store"),))


async def _entries(call: "Call", path: str) -> set[str]:
    """The names directly below a folder; those of folders end in a slash."""
    found: set[str] = set()
    for name in await call.pull.names():
        package_folder = f"{names.folder_of(name)}/"
        if package_folder.startswith(path):
            rest = package_folder[len(path) :]
            if rest:
                found.add(f"{rest.partition('/')[0]}/")
            else:
                found |= await _versions(call, name)
        elif path.startswith(package_folder):
            found |= await _files(call, name, path[len(package_folder) :])
    return found


async def _versions(call: "Call", package: str) -> set[str]:
    try:
        listing = await call.addressed.listing(package)
    except (PackageUnknown, Unknown):
        return set()
    versions = {file.version for file in listing.files}
    return {*(f"{version}/" for version in versions), *([names.METADATA] if versions else [])}


async def _files(call: "Call", package: str, rest: str) -> set[str]:
    """The hosted files of a version, with their checksums."""
    hosted = await call.publish.hosted(package)
    version = rest.removesuffix("/")
    files = () if hosted is None else hosted.files
    found = {file.filename.partition("/")[2] for file in files if file.version == version}
    builds = metadata.builds(package, version, (file for file in files if file.origin == HOSTED_LAYER))
    return (
        found
        | {f"{name}.{kind}" for name in found for kind in names.CHECKSUMS}
        | ({names.METADATA} if builds else set())
    )
