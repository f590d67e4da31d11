"""Looking into a `.nupkg` or `.snupkg` without ever unpacking it to disk (nuget.md §10).

A package is a zip archive that somebody else made: its directory is bounded before it is read, its names are judged as
the client will read them (percent-decoded, with slashes), and only a few small members are inflated, each to a bound.
"""

import stat
import struct
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

from msgspec import Struct

from adapters.nuget import nuspec
from gateway.errors import Invalid
from gateway.zip_files import check_directory

MAX_MEMBERS = 65_000
MAX_INFLATED = 2 * 1024**3
MAX_RATIO = 200
_RATIO_FROM = 1024**2  # bytes: what is smaller than this may inflate as it likes
_MAX_EMBEDDED = 1024**2
_EMBEDDED = {"icon": (".png", ".jpg", ".jpeg"), "readme": (".md",), "license": (".txt", ".md")}
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_LOCAL = struct.Struct("<4s5H3L2H")
_BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, LookupError, RuntimeError)


class Contents(Struct, frozen=True):
    """What a package holds. text: the nuspec's bytes. embedded: `icon`, `readme`, `license` → (bytes, content type).

    members: path as the client reads it → bytes when inflated, as the directory claims.
    """

    nuspec: nuspec.Nuspec
    text: bytes
    embedded: dict[str, tuple[bytes, str]]
    members: dict[str, int]


def inspect(path: Path) -> Contents:
    """Read a package; raises Invalid. Blocks."""
    try:
        with path.open("rb") as file:
            check_directory(file, path.stat().st_size)
            with zipfile.ZipFile(file) as archive:
                members = _checked(archive.infolist(), file)
                text = _read(archive, _nuspec_of(members), nuspec.MAX_SIZE)
                parsed = nuspec.parse(text)
                sizes = {name: member.file_size for name, member in members.items()}
                return Contents(parsed, text, _embedded(archive, members, parsed), sizes)
    except _BROKEN as error:
        raise Invalid(f"the package is not a readable zip archive: {str(error)[:100]}") from error


def _checked(listed: list[zipfile.ZipInfo], file: BinaryIO) -> dict[str, zipfile.ZipInfo]:
    """The members by the name that the client gives them; raises Invalid for anything that could mean harm."""
    if len(listed) > MAX_MEMBERS:
        raise Invalid(f"the package has more than {MAX_MEMBERS} members")
    if sum(member.file_size for member in listed) > MAX_INFLATED:
        raise Invalid(f"the package inflates to more than {MAX_INFLATED} bytes")
    members: dict[str, zipfile.ZipInfo] = {}
    seen: set[str] = set()
    for member in listed:
        name = client_name(member.filename)
        if member.orig_filename != member.filename or name.lower() in seen:
            raise Invalid(f"the package has two members that read as {name[:80]!r}")
        if member.flag_bits & 0x1 or member.compress_type not in _METHODS:
            raise Invalid(f"the package's member {name[:80]!r} is encrypted or not deflated")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise Invalid(f"the package's member {name[:80]!r} is a link")
        _check_local(member, file)
        seen.add(name.lower())
        if not member.is_dir():
            members[name] = member
    return members


def client_name(name: str) -> str:
    """The path as NuGet's reader unpacks it; raises Invalid for one that leaves the package's folder."""
    plain = unquote(name).replace("\\", "/")
    parts = plain.removesuffix("/").split("/")
    is_odd = any(ord(letter) < 0x20 or ord(letter) == 0x7F for letter in plain)
    if is_odd or not plain or ":" in parts[0] or any(part in {"", ".", ".."} for part in parts):
        raise Invalid(f"the package has a member with an unsafe name: {name[:80]!r}")
    return plain


def _check_local(member: zipfile.ZipInfo, file: BinaryIO) -> None:
    """Raise Invalid unless the member's own header names it as the directory does: readers trust one or the other."""
    file.seek(member.header_offset)
    head = file.read(_LOCAL.size)
    if len(head) != _LOCAL.size:
        raise Invalid("the package has a member without a header")
    signature, *_, length, _ = _LOCAL.unpack(head)
    name = file.read(length).decode("utf-8" if member.flag_bits & 0x800 else "cp437", "replace")
    if signature != b"PK\3\4" or name != member.orig_filename:
        raise Invalid(f"the package names a member in two ways: {member.filename[:80]!r}")


def _nuspec_of(members: dict[str, zipfile.ZipInfo]) -> zipfile.ZipInfo:
    found = [member for name, member in members.items() if "/" not in name and name.lower().endswith(".nuspec")]
    if len(found) != 1:
        raise Invalid(f"expected one .nuspec at the root of the package, found {len(found)}")
    return found[0]


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo, limit: int) -> bytes:
    """A small member whole; its real size counts, not the one that the directory claims."""
    with archive.open(member) as stream:
        body = stream.read(limit + 1)
    if len(body) > limit:
        raise Invalid(f"{member.filename[:80]} has more than {limit} bytes")
    check_ratio(member.filename, len(body), member.compress_size)
    return body


def check_ratio(name: str, inflated: int, packed: int) -> None:
    """Raise Invalid for a member that inflates to far more than it is."""
    if inflated > _RATIO_FROM and inflated > MAX_RATIO * max(1, packed):
        raise Invalid(f"{name[:80]} inflates to over {MAX_RATIO} times its size")


def _embedded(
    archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], parsed: nuspec.Nuspec
) -> dict[str, tuple[bytes, str]]:
    """The files that the nuspec names for icon, readme and licence; raises Invalid where one is not as it must be."""
    found: dict[str, tuple[bytes, str]] = {}
    for kind, path in parsed.files.items():
        name = path.replace("\\", "/").removeprefix("./")
        if name not in members:
            raise Invalid(f"the nuspec names {path[:80]!r} as its {kind}, which is not in the package")
        if not name.lower().endswith(_EMBEDDED[kind]):
            raise Invalid(f"a {kind} is one of {', '.join(_EMBEDDED[kind])}, not {path[:80]!r}")
        body = _read(archive, members[name], _MAX_EMBEDDED)
        found[kind] = (body, _content_type(kind, body))
    return found


def _content_type(kind: str, body: bytes) -> str:
    """What the bytes are; a text is never served as anything that a browser runs."""
    if kind != "icon":
        return "text/plain; charset=utf-8"
    if body.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if body.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    raise Invalid("the icon is neither PNG nor JPEG")
