"""Symbols: what a symbol package may hold, and the key by which debuggers ask for a portable PDB.

Pure. The key is `<guid>ffffffff`: the guid begins the id in the PDB's `#Pdb` stream (Portable PDB format, "#Pdb
Stream"; Simple Symbol Query Protocol key conventions, "Portable-Pdb-Signature"). Debuggers may send another age.
"""

import re
import struct
import uuid
from collections.abc import Iterable

from gateway.errors import FileUnknown, Invalid

HEAD = 64 * 1024  # bytes of a PDB in which its streams are listed
_ALLOWED = (".pdb", ".nuspec", ".xml", ".psmdcp", ".rels", ".p7s")
_MAX_PDBS = 1000
_MAX_STREAMS = 64
_KEY = re.compile(r"([0-9a-f]{32})[0-9a-f]{1,8}")


def pdbs(members: Iterable[str]) -> list[str]:
    """The PDBs of a symbol package; raises Invalid for one that holds anything else than symbols."""
    found = []
    for name in members:
        if not name.lower().endswith(_ALLOWED):
            raise Invalid(f"a symbol package holds no {name[:80]!r}")
        if name.lower().endswith(".pdb"):
            found.append(name)
    if not found or len(found) > _MAX_PDBS:
        raise Invalid(f"a symbol package holds 1 to {_MAX_PDBS} PDBs, this one {len(found)}")
    return found


def guid_of(body: bytes) -> str:
    """The guid of a portable PDB, of which these are the first bytes; raises Invalid for any other file."""
    try:
        signature, _, _, _, length = struct.unpack_from("<4s2H2I", body)
        if signature != b"BSJB":
            raise Invalid("only portable PDBs are served as symbols")
        position = 16 + length + 2
        (count,) = struct.unpack_from("<H", body, position)
        position += 2
        for _ in range(min(count, _MAX_STREAMS)):
            offset, size = struct.unpack_from("<2I", body, position)
            name, _, _ = body[position + 8 : position + 40].partition(b"\0")
            if name == b"#Pdb":
                found = body[offset : offset + 16]
                if size < 20 or len(found) != 16:
                    break
                return uuid.UUID(bytes_le=found).hex
            position += 8 + (len(name) // 4 + 1) * 4
    except struct.error as error:
        raise Invalid("the PDB is cut off") from error
    raise Invalid("the PDB has no #Pdb stream with an id")


def filename(pdb: str, guid: str, sha256: str = "") -> str:
    """Under which name a PDB is published: its own, its guid, and its bytes, so that a later one may replace it."""
    return f"{pdb.rpartition('/')[2].lower()}/{guid}/{sha256[:16]}"


def asked(file: str, key: str, again: str) -> str:
    """The beginning of the name of what a debugger asks for; raises FileUnknown."""
    found = _KEY.fullmatch(key.lower())
    if found is None or file.lower() != again.lower() or not file.lower().endswith(".pdb"):
        raise FileUnknown(f"no symbols have the key {key[:80]!r}")
    return filename(file, found[1])
