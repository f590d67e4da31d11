"""Putting a document that only grows together from what we hold and the rest that an upstream sent. Pure.

The result is believed only where the upstream promises the digest of the whole (RFC 9530 §3, or its deprecated
predecessor) and it agrees; otherwise the whole is asked for again.
"""

import base64
import hashlib
import re
from collections.abc import Mapping

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})\Z")
_SHA256 = re.compile(r"sha-256=:?([A-Za-z0-9+/]{43}=)")


def promised_sha256(headers: Mapping[str, str]) -> bytes | None:
    """The digest of a whole representation in these headers (lower-case names); None where there is none."""
    match = _SHA256.search(headers.get("repr-digest", "")) or _SHA256.search(headers.get("digest", ""))
    return None if match is None else base64.b64decode(match[1])


def joined(held: bytes, tail: bytes, headers: Mapping[str, str]) -> bytes | None:
    """The whole document, where `tail` begins with the last byte of `held` and the digest agrees; else None."""
    match = _CONTENT_RANGE.match(headers.get("content-range", ""))
    promised = promised_sha256(headers)
    if match is None or promised is None or int(match[1]) != len(held) - 1 or tail[:1] != held[-1:]:
        return None
    whole = held + tail[1:]
    if len(whole) != int(match[3]) or hashlib.sha256(whole).digest() != promised:
        return None
    return whole
