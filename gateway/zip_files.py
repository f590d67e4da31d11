"""Looks at the end of a zip file before the standard library reads its directory, which it does without any bound."""

import struct
from typing import BinaryIO

from gateway.errors import Invalid

MAX_DIRECTORY = 16 * 1024**2  # bytes: some 100,000 members with long names

_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")


def check_directory(file: BinaryIO, size: int) -> None:
    """Raise Invalid unless the file begins with a member and ends with a plain, bounded directory.

    Bytes before, between or after are how one file shows different members to different readers.
    """
    if size < _END.size:
        raise Invalid("the file is too small for a zip archive")
    file.seek(size - _END.size)
    signature, disk, start_disk, _, _, length, offset, comment = _END.unpack(file.read(_END.size))
    if signature != b"PK\5\6" or comment or disk or start_disk:
        raise Invalid("the file does not end as a zip archive without comment")
    end = size - _END.size
    if size >= _END.size + _LOCATOR.size + _END_64.size:
        file.seek(end - _LOCATOR.size)
        locator = _LOCATOR.unpack(file.read(_LOCATOR.size))
        if locator[0] == b"PK\6\7":
            end -= _LOCATOR.size + _END_64.size
            file.seek(end)
            record = _END_64.unpack(file.read(_END_64.size))
            if record[0] != b"PK\6\6" or locator[2] != end:
                raise Invalid("the zip archive's 64-bit directory is not where it should be")
            length, offset = record[8], record[9]
    if length > MAX_DIRECTORY:
        raise Invalid(f"the zip archive's directory has {length} bytes, more than {MAX_DIRECTORY}")
    if offset + length != end:
        raise Invalid("the zip archive has bytes that belong to no member")
    file.seek(0)
    if file.read(4) not in {b"PK\3\4", b"PK\5\6"}:
        raise Invalid("the zip archive does not begin with a member")
    file.seek(0)
