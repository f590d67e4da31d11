"""Opens a wheel or an sdist that a stranger sent, and reads its METADATA or PKG-INFO. Nothing is ever extracted.

Blocks, so it runs in a thread. Every bound is checked before the work it bounds: sizes of directories and headers
before they are parsed, ratios while bytes are inflated. What cannot be read, or holds names that leave its folder, is
Invalid. Binary distribution format; source distribution format (PEP 625, PEP 643).
"""

import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from adapters.pypi import names
from adapters.pypi.archive_tar import TarMember, read_tar_gz
from adapters.pypi.metadata import MAX_SIZE
from gateway.errors import Invalid, NameMismatch
from gateway.zip_files import check_directory

RATIO = 50
RATIO_FROM = 64 * 1024**2  # bytes below which any ratio is harmless
MAX_MEMBERS = 100_000

_UNSAFE = {"", ".", ".."}
_CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, LookupError, RuntimeError)


class Contents(Struct, frozen=True):
    """What an archive holds. metadata: METADATA or PKG-INFO verbatim. members: file names, in order.

    texts: small files that strict checks look at, by name. is_sparse: a tar with sparse members.
    """

    metadata: bytes
    members: tuple[str, ...]
    top: str
    texts: dict[str, bytes]
    is_sparse: bool = False


def read_archive(path: Path, named: names.FileName, filename: str) -> Contents:
    """Read the file at `path`, whose name was parsed to `named`; raises Invalid or NameMismatch."""
    size = path.stat().st_size
    if filename.endswith(".tar.gz"):
        return _read_sdist_tar(path, size)
    return _read_zip(path, size, named)


def check_ratio(inflated: int, size: int) -> None:
    """Raise Invalid for an archive that inflates to far more than it is."""
    if inflated > RATIO_FROM and inflated > size * RATIO:
        raise Invalid(f"the archive inflates to over {RATIO} times its {size} bytes")


def check_member(name: str) -> None:
    """Raise Invalid for a name that leaves the archive's folder, or that systems read differently."""
    parts = name.removesuffix("/").split("/")
    if not _UNSAFE.isdisjoint(parts) or _CONTROL.search(name) or parts[0][1:2] == ":":
        raise Invalid(f"the archive has a member with an unsafe name: {name[:80]!r}")


# ── zip: wheels, and sdists of old ───────────────────────────────────────────────────────────────────────────────
def _read_zip(path: Path, size: int, named: names.FileName) -> Contents:
    try:
        with path.open("rb") as file:
            check_directory(file, size)
            with zipfile.ZipFile(file) as archive:
                _check_members(archive.infolist(), size)
                return _read_wheel(archive, named) if named.kind == "bdist_wheel" else _read_sdist_zip(archive)
    except _BROKEN as error:
        raise Invalid(f"the file is not a readable zip archive: {str(error)[:100]}") from error


def _check_members(members: list[zipfile.ZipInfo], size: int) -> None:
    if len(members) > MAX_MEMBERS:
        raise Invalid(f"the archive has more than {MAX_MEMBERS} members")
    check_ratio(sum(member.file_size for member in members), size)
    seen: set[str] = set()
    for member in members:
        check_member(member.filename)
        if member.orig_filename != member.filename:
            raise Invalid(f"the archive has a member with an unsafe name: {member.orig_filename[:80]!r}")
        if member.filename in seen:
            raise Invalid(f"the archive has two members named {member.filename[:80]!r}")
        if member.flag_bits & 0x1 or member.compress_type not in _METHODS:
            raise Invalid(f"the archive's member {member.filename[:80]!r} is encrypted or not deflated")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise Invalid(f"the archive's member {member.filename[:80]!r} is a link")
        seen.add(member.filename)


def _read_wheel(archive: zipfile.ZipFile, named: names.FileName) -> Contents:
    members = tuple(member.filename for member in archive.infolist() if not member.is_dir())
    folders = {name.split("/")[0] for name in archive.namelist() if name.split("/")[0].endswith(".dist-info")}
    if len(folders) != 1:
        raise Invalid(f"expected exactly one .dist-info folder in the wheel, found {len(folders)}")
    (folder,) = folders
    name, _, version = folder.removesuffix(".dist-info").partition("-")
    package = names.normalize(named.name)
    if not names.is_name(name) or names.normalize(name) != package or not names.same_version(version, named.version):
        raise NameMismatch(f"the wheel's folder {folder[:80]!r} does not belong to {package} {named.version}")
    for part in ("METADATA", "WHEEL", "RECORD"):
        if f"{folder}/{part}" not in members:
            raise Invalid(f"the wheel has no {folder}/{part}")
    texts = {
        name: _read_member(archive, name)
        for name in (f"{folder}/WHEEL", f"{folder}/entry_points.txt")
        if name in members
    }
    return Contents(_read_member(archive, f"{folder}/METADATA"), members, folder, texts)


def _read_sdist_zip(archive: zipfile.ZipFile) -> Contents:
    members = tuple(member.filename for member in archive.infolist() if not member.is_dir())
    top = only_top(archive.namelist())
    if f"{top}/PKG-INFO" not in members:
        raise Invalid(f"the sdist has no {top[:80]}/PKG-INFO")
    return Contents(_read_member(archive, f"{top}/PKG-INFO"), members, top, {})


def _read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """A small member whole; its real size counts, not the one that the directory claims."""
    with archive.open(name) as member:
        body = member.read(MAX_SIZE + 1)
    if len(body) > MAX_SIZE:
        raise Invalid(f"{name[:80]} has more than {MAX_SIZE} bytes")
    return body


# ── tar.gz: sdists ───────────────────────────────────────────────────────────────────────────────────────────────
def _read_sdist_tar(path: Path, size: int) -> Contents:
    listed: list[TarMember] = []
    for member in read_tar_gz(path, lambda inflated: check_ratio(inflated, size), keep=_is_pkg_info, limit=MAX_SIZE):
        if len(listed) >= MAX_MEMBERS:
            raise Invalid(f"the archive has more than {MAX_MEMBERS} members")
        check_member(member.name)
        listed.append(member)
    check_ratio(sum(member.size for member in listed), size)
    top = only_top(member.name for member in listed)
    for member in listed:
        if member.link is not None:
            _check_link(member)
    found = [member for member in listed if member.name == f"{top}/PKG-INFO"]
    if len(found) != 1 or found[0].body is None:
        raise Invalid(f"expected one {top[:80]}/PKG-INFO in the sdist, found {len(found)}")
    members = tuple(member.name for member in listed if not member.is_dir)
    return Contents(found[0].body, members, top, {}, any(member.is_sparse for member in listed))


def _is_pkg_info(name: str) -> bool:
    return name.count("/") == 1 and name.endswith("/PKG-INFO")


def only_top(members: Iterable[str]) -> str:
    """The one folder that everything in an sdist is in; raises Invalid."""
    tops = {name.split("/")[0] for name in members}
    if len(tops) != 1:
        raise Invalid(f"expected one folder at the top of the sdist, found {len(tops)}")
    return tops.pop()


def _check_link(member: TarMember) -> None:
    """Links may only point to where they are, within the sdist's folder."""
    link = member.link or ""
    if link.startswith("/") or "\\" in link:
        raise Invalid(f"the sdist's link {member.name[:80]!r} leaves its folder")
    depth = 0 if member.is_hard_link else len(member.name.split("/")) - 1
    for part in link.split("/"):
        depth += -1 if part == ".." else 0 if part in {"", "."} else 1
        if depth < 1:
            raise Invalid(f"the sdist's link {member.name[:80]!r} leaves its folder")
